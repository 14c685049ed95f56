"""A passenger on node one and a vehicle on node two talk to each other.

    python3 two-nodes.py ADDRESS_OF_NODE_ONE ADDRESS_OF_NODE_TWO

Nothing here is Signalbox's own: any WebSocket client that can send JSON will do. Exits with 1 if an
expected message does not arrive in time.
"""

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request

from websockets.asyncio.client import connect

READY_SECONDS = 15
MESSAGE_SECONDS = 5


class Missing(Exception):
    """A message that should have arrived did not."""


class Talker:
    """One agent with its socket; prints what it says and hears."""

    def __init__(self, agent, node, socket):
        self.agent, self.node, self.socket = agent, node, socket

    async def say(self, type_, data, target=None, **fields):
        """Sends one message. Only `type` is required; the node adds id, timestamp and source."""
        message = {"type": type_, "data": data, **fields}
        if target is not None:
            message["target"] = target
        to = f" to {target}" if target else ""
        self.show("says", f"{type_}{to}", data)
        await self.socket.send(json.dumps(message))

    async def hear(self, type_, **expected):
        """Returns the next message of this type whose fields are as expected."""
        deadline = asyncio.get_running_loop().time() + MESSAGE_SECONDS
        while True:
            left = deadline - asyncio.get_running_loop().time()
            try:
                text = await asyncio.wait_for(self.socket.recv(), left)
            except asyncio.TimeoutError:
                raise Missing(f"{self.agent} heard no {type_} {expected} within {MESSAGE_SECONDS} s") from None
            message = json.loads(text)
            self.show("hears", f"{message['type']} from {message.get('source')}", message.get("data"))
            if message["type"] == "system:error":
                raise Missing(f"{self.agent} waits for {type_} and was refused: {message['data']}")
            if message["type"] == type_ and all(message.get(name) == value for name, value in expected.items()):
                return message

    def show(self, verb, what, data):
        text = json.dumps(data, separators=(",", ":"))
        text = text if len(text) <= 70 else text[:67] + "..."
        print(f"  {self.agent:<13} on {self.node:<8} {verb:<5} {what}\n{'':<35}{text}", flush=True)


def title(text):
    print(f"\n{text}", flush=True)


def wait_until_ready(address):
    """A node is ready when it has joined the cluster."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=1):
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise Missing(f"{address} is not ready after {READY_SECONDS} s: {error}") from None
            time.sleep(0.05)


async def converse(one, two):
    as_passenger = f"ws://{one}/ws?agent_type=passenger&agent_id=P1"
    as_vehicle = f"ws://{two}/ws/vehicle-events?agent_type=vehicle&agent_id=V17"
    async with connect(as_passenger) as first, connect(as_vehicle) as second:
        passenger = Talker("passenger:P1", "node one", first)
        vehicle = Talker("vehicle:V17", "node two", second)

        title("1. Each is welcomed by a node of its own.")
        welcomes = [await passenger.hear("system:welcome"), await vehicle.hear("system:welcome")]
        if welcomes[0]["data"]["node_id"] == welcomes[1]["data"]["node_id"]:
            raise Missing("both are on the same node")

        title("2. The passenger follows route 12; the answer says that it does.")
        await passenger.say("system:subscribe", {"topics": ["route:12"]}, correlationId="follow-1")
        ack = await passenger.hear("system:ack", correlationId="follow-1")
        if "route:12" not in ack["data"]["topics"]:
            raise Missing("the subscription was not confirmed")

        title("3. The vehicle tells this one passenger something, whichever node that is on.")
        await vehicle.say("vehicle:status_change", {"status": "doors_open"}, target="passenger:P1")
        await passenger.hear("vehicle:status_change", source="vehicle:V17", data={"status": "doors_open"})

        title("4. The passenger asks the vehicle and gets the answer to this very question.")
        await passenger.say("trip:ask_eta", {"stop": "Museum"}, target="vehicle:V17", correlationId="eta-1")
        question = await vehicle.hear("trip:ask_eta", source="passenger:P1", correlationId="eta-1")
        answer = {"stop": question["data"]["stop"], "minutes": 4}
        await vehicle.say("trip:eta", answer, target=question["source"], correlationId=question["correlationId"])
        await passenger.hear("trip:eta", source="vehicle:V17", correlationId="eta-1", data=answer)

        title("5. The vehicle tells all who follow the route, and then all passengers.")
        position = {"lat": 48.137, "lon": 11.575}
        await vehicle.say("vehicle:position_update", position, target="route:12")
        await passenger.hear("vehicle:position_update", source="vehicle:V17", target="route:12", data=position)
        await vehicle.say("vehicle:announcement", {"text": "next stop: Museum"}, target="agent_type:passenger")
        await passenger.hear("vehicle:announcement", source="vehicle:V17", target="agent_type:passenger")


def main():
    one, two = sys.argv[1:3]
    try:
        wait_until_ready(one)
        wait_until_ready(two)
        asyncio.run(converse(one, two))
    except Missing as missing:
        print(f"\nerror: {missing}", file=sys.stderr)
        return 1
    print("\nEvery message arrived.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
