#!/usr/bin/python3
"""A WebSocket client for a player that has none: what it says to a port of this machine goes through the WebSocket.

usage: websocket.py URL [CERTIFICATE]     the certificate that a wss:// server may show; prints the port, serves one player
"""

import asyncio
import ssl
import sys

import websockets


async def serve(url, certificate):
    served = asyncio.Event()

    async def carry(reader, writer):
        trust = ssl.create_default_context(cafile=certificate) if certificate else None
        async with websockets.connect(url, subprotocols=["rtsp.onvif.org"], ssl=trust) as socket:
            assert socket.subprotocol == "rtsp.onvif.org", socket.subprotocol

            async def ask():
                try:
                    while words := await reader.read(4096):
                        await socket.send(words)
                except ConnectionResetError:
                    pass  # A player that left unread what had come for it.
                await socket.close()

            asking = asyncio.create_task(ask())
            async for message in socket:
                assert isinstance(message, bytes), message
                writer.write(message)
            writer.close()
            await asyncio.gather(asking, return_exceptions=True)
        served.set()

    listener = await asyncio.start_server(carry, "127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await served.wait()


asyncio.run(serve(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
