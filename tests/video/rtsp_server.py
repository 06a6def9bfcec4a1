"""A real RTSP server for tests and demonstrations: GStreamer's, run by Debian's Python.

    /usr/bin/python3 tests/video/rtsp_server.py --clip CLIP.aus [--port 0] [--user U --password P]

Serves rtsp://127.0.0.1:PORT/cam: the clip in a loop with timestamps that run on, one stream shared by all clients,
as a camera does. Prints `ready PORT`. Needs gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good and -bad.

A clip is a file of H.264 access units, as `write_rtsp_clip` of `tests/video/media.py` writes them: each
`<I size> <q pts ns> <q dts ns> bytes`, Annex B.
"""

import argparse
import pathlib
import struct
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

HEADER = struct.Struct("<Iqq")
LAUNCH = (
    "( appsrc name=source is-live=true format=time block=true max-bytes=4000000 "
    "caps=video/x-h264,stream-format=byte-stream,alignment=au ! h264parse config-interval=-1 "
    "! rtph264pay name=pay0 pt=96 )"
)


def read_units(path):
    """[(pts_ns, dts_ns, bytes)] of a clip, and its length in ns."""
    data, units, at = pathlib.Path(path).read_bytes(), [], 0
    while at < len(data):
        size, pts, dts = HEADER.unpack_from(data, at)
        at += HEADER.size
        units.append((pts, dts, data[at : at + size]))
        at += size
    times = sorted(pts for pts, _, _ in units)
    return units, times[-1] - times[0] + (times[1] - times[0])


class Player(threading.Thread):
    """Pushes the clip into one appsrc at its own pace, until the pipeline is taken down."""

    def __init__(self, source, clip):
        super().__init__(daemon=True)
        self.source = source
        self.units, self.length = clip

    def run(self):
        started_s = time.monotonic()
        first = min(pts for pts, _, _ in self.units)
        offset = -first
        while True:
            for pts, dts, data in self.units:
                time.sleep(max(0.0, started_s + (dts + offset) / 1e9 - time.monotonic()))
                buffer = Gst.Buffer.new_wrapped(data)
                buffer.pts = pts + offset + 200_000_000  # time for the pipeline to start
                buffer.dts = max(0, dts + offset + 200_000_000)
                if self.source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                    return
            offset += self.length


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clip", required=True)
    parser.add_argument("--port", default="0")
    parser.add_argument("--mount", default="/cam")
    parser.add_argument("--user")
    parser.add_argument("--password")
    options = parser.parse_args()
    Gst.init(None)
    clip = read_units(options.clip)

    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(LAUNCH)
    factory.set_shared(True)
    factory.connect(
        "media-configure",
        lambda _, media: Player(media.get_element().get_by_name_recurse_up("source"), clip).start(),
    )
    if options.user:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(options.user, options.password), token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_role("viewer")
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory(options.mount, factory)
    if server.attach(None) == 0:
        raise SystemExit(f"port {options.port} cannot be used")
    print("ready", server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
