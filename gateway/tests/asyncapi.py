"""Holds each example of the AsyncAPI document that it is given to the schema of its message. Exit code 1 if one differs."""

import json
import sys

from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

DOCUMENT_URI = "urn:document"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    registry = Registry().with_resource(DOCUMENT_URI, DRAFT7.create_resource(document))
    faults = shown = 0
    for name, message in document["components"]["messages"].items():
        # References of the document start with "#": they are those of the document as a whole.
        schema = json.loads(json.dumps(message["payload"]).replace('"$ref": "#', f'"$ref": "{DOCUMENT_URI}#'))
        Draft7Validator.check_schema(schema)
        validator = Draft7Validator(schema, registry=registry, format_checker=Draft7Validator.FORMAT_CHECKER)
        for example in message.get("examples", []):
            shown += 1
            for error in validator.iter_errors(example["payload"]):
                faults += 1
                print(f"{name}, {example['name']}: {error.json_path}: {error.message}"[:1000])
    if shown == 0:
        print("there are no examples")
    sys.exit(1 if faults or not shown else 0)


if __name__ == "__main__":
    main()
