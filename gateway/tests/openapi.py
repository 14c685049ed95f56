"""Reads {"document": .., "exchanges": [..]} and says where an exchange that was had with a node is not one that
the document describes; without "exchanges", where the document is no valid OpenAPI. Exit code 1 if it says
anything."""

import json
import sys
from urllib.parse import parse_qsl, urlsplit

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DOCUMENT_URI = "urn:document"


def operation_of(document, method, path):
    """The operation of the longest literal match, and the path's template."""
    parts = path.split("/")
    candidates = []
    for template, operations in document["paths"].items():
        wanted = template.split("/")
        fits = len(wanted) == len(parts) and all(
            one.startswith("{") or one == part for one, part in zip(wanted, parts)
        )
        if fits and method.lower() in operations:
            candidates.append((template.count("{"), template))
    if not candidates:
        return None, None
    template = min(candidates)[1]
    return document["paths"][template][method.lower()], template


def faults(document):
    from openapi_spec_validator import OpenAPIV31SpecValidator  # half a second that the exchanges don't need

    for error in OpenAPIV31SpecValidator(document).iter_errors():
        yield f"document: {error.json_path}: {error.message}"


class Judge:
    def __init__(self, document):
        self.document = document
        resource = DRAFT202012.create_resource(document)
        self.registry = Registry().with_resource(DOCUMENT_URI, resource)

    def errors(self, schema, value):
        # References of the document start with "#": they are those of the document as a whole.
        text = json.dumps(schema).replace('"$ref": "#', f'"$ref": "{DOCUMENT_URI}#')
        validator = Draft202012Validator(
            json.loads(text), registry=self.registry, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def answer(self, exchange, responses):
        described = responses.get(str(exchange["status"]))
        if described is None:
            yield f"status {exchange['status']} is not described"
            return
        content = described.get("content")
        if not content:
            if exchange["body"]:
                yield "a body is not described"
            return
        media_type = exchange["headers"].get("content-type", "").split(";")[0]
        if media_type not in content:
            yield f"content type {media_type!r} is not described"
        elif media_type.endswith("json"):
            yield from self.errors(content[media_type]["schema"], json.loads(exchange["body"]))
        for name, header in described.get("headers", {}).items():
            yield from self.errors(header["schema"], exchange["headers"].get(name.lower()))

    def request(self, exchange, operation):
        """What was answered well has to be what the document asks for."""
        given = parse_qsl(urlsplit(exchange["path"]).query, keep_blank_values=True)
        queries = {one["name"]: one for one in operation["parameters"] if one["in"] == "query"}
        for name, _ in given:
            if name not in queries:
                yield f"the parameter {name} is not described"
        for name, parameter in queries.items():
            if parameter["required"] and name not in dict(given):
                yield f"without {name} it was answered all the same"
        body = operation.get("requestBody")
        if exchange["sent"] and not body:
            yield "it takes no body"
        elif exchange["sent"]:
            yield from self.errors(body["content"]["application/json"]["schema"], json.loads(exchange["sent"]))
        elif body and body["required"]:
            yield "without a body it was answered all the same"

    def exchange(self, exchange):
        operation, template = operation_of(
            self.document, exchange["method"], urlsplit(exchange["path"]).path
        )
        if operation is None:
            if exchange["status"] not in (404, 405):
                yield "no such operation"
            return
        yield from self.answer(exchange, operation["responses"])
        if 200 <= exchange["status"] < 300:
            yield from self.request(exchange, operation)


def main():
    given = json.load(sys.stdin)
    judge = Judge(given["document"])
    problems = [] if "exchanges" in given else list(faults(given["document"]))
    for exchange in given.get("exchanges", []):
        what = f"{exchange['method']} {exchange['path']} -> {exchange['status']}"
        problems += [f"{what}: {problem}" for problem in judge.exchange(exchange)]
    for problem in problems:
        print(problem[:2000])
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
