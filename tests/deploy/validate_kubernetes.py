"""Runs in the environment of kubernetes.txt: checks the documents of YAML files against Kubernetes's JSON schema and prints them as JSON.

The schema does not cover the SparkApplication of the spark-operator; the test checks its fields.
"""

import json
import sys
from pathlib import Path


def checked(file: str) -> list[dict]:
    """The documents of the file, all valid."""
    import kubernetes_validate  # neither is installed in the environment in which pytest collects this file
    import yaml

    documents = list(yaml.safe_load_all(Path(file).read_text(encoding="utf-8")))
    for document in documents:
        if document["kind"] != "SparkApplication":
            kubernetes_validate.validate(document, "1.34", strict=True)
    return documents


if __name__ == "__main__":
    json.dump([document for file in sys.argv[1:] for document in checked(file)], sys.stdout)
