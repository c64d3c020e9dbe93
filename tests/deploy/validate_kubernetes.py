"""Run by the environment of kubernetes.txt: prints the documents of YAML files as JSON after validation against Kubernetes's JSON schema.

An operator's kind has no schema there; the test checks it field by field.
"""

import json
import sys
from pathlib import Path


def validated(file: str) -> list[dict]:
    """The documents of the file."""
    import kubernetes_validate  # missing where pytest collects this file
    import yaml

    documents = list(yaml.safe_load_all(Path(file).read_text(encoding="utf-8")))
    for document in documents:
        if document["kind"] != "SparkApplication":
            kubernetes_validate.validate(document, "1.34", strict=True)
    return documents


if __name__ == "__main__":
    json.dump([document for file in sys.argv[1:] for document in validated(file)], sys.stdout)
