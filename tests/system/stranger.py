"""A client by somebody who has read docs/protocol.md and has pyzmq and msgpack, and nothing of hfzmq.

python stranger.py MESH_ID_HEX HOST:PORT [HOST:PORT ...]      prints the acknowledgement as JSON
"""

import hashlib
import json
import os
import sys
import time

import msgpack
import zmq


def main() -> None:
    mesh, addresses = bytes.fromhex(sys.argv[1]), sys.argv[2:]
    now_ms = int(time.time() * 1000)
    rows = msgpack.packb([["stranger", now_ms, 70.5, 131, 2.4, 25.0, 12, 0.71, "RED", 0.93, "by hand", ""]])
    digest = hashlib.blake2b(rows, digest_size=16).digest()
    request = msgpack.packb(
        {"v": 1, "mesh": mesh, "op": "submit", "client": "stranger", "epoch": os.urandom(16), "seq": 1,
         "rows": rows, "digest": digest}
    )  # fmt: skip
    for attempt in range(60):
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        where, _, server = addresses[attempt % len(addresses)].partition("=")
        if server:  # HOST:PORT=KEY, for a mesh with keys; one's own pair is in PAIR
            socket.curve_serverkey = server.encode()
            socket.curve_publickey, socket.curve_secretkey = os.environb[b"PAIR"].split()
        socket.connect("tcp://" + where)
        socket.send(request)
        answer = msgpack.unpackb(socket.recv()) if socket.poll(1000) else {"status": "no answer"}
        socket.close()
        if answer["status"] == "ACK":
            print(json.dumps(answer))  # noqa: T201
            return
        time.sleep(0.1)
    sys.exit(f"never acknowledged: {answer}")


if __name__ == "__main__":
    main()
