"""Reads rendered manifests on stdin and prints them as one JSON list, secrets in clear. With --judge each is held to the
schemas of the oldest and the newest supported Kubernetes; exit code 1 if one is wrong."""

import base64
import json
import sys

import yaml

OLDEST = "1.30"
# Not of Kubernetes itself: the schemas don't know it.
OPERATORS = {("monitoring.coreos.com/v1", "PodMonitor")}


def faults(manifest):
    import kubernetes_validate  # a second that not every test needs

    if (manifest["apiVersion"], manifest["kind"]) in OPERATORS:
        return
    for version in (OLDEST, kubernetes_validate.latest_version()):
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as fault:
            yield f"{manifest['kind']}/{manifest['metadata']['name']}, Kubernetes {version}: {fault}"


def in_clear(secret):
    given = {name: base64.b64decode(value).decode() for name, value in secret.pop("data", {}).items()}
    secret["stringData"] = given | secret.get("stringData", {})


def main():
    manifests = [one for one in yaml.safe_load_all(sys.stdin) if one]
    found = [fault for one in manifests for fault in faults(one)] if "--judge" in sys.argv else []
    for one in manifests:
        if one["kind"] == "Secret":
            in_clear(one)
    for fault in found:
        print(fault[:500], file=sys.stderr)
    json.dump(manifests, sys.stdout)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
