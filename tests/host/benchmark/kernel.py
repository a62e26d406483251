"""What the kernel itself takes: the ioctls of a snapshot, and a cgroup that is stopped by hand."""

import fcntl
import os
import struct
import threading
import time

# _IOW(0x94, 23, struct btrfs_ioctl_vol_args_v2) of linux/btrfs.h
SNAP_CREATE_V2 = 0x50009417
READ_ONLY = 1 << 1
CGROUP = "/sys/fs/cgroup/photos.slice"


class Shots:
    """Snapshots to take, with everything open that they need."""

    def __init__(self, live, names, folder):
        self.made = []
        for name in names:
            os.makedirs(f"{folder}/{name}")
            source, parent = (os.open(path, os.O_RDONLY) for path in (f"{live}/{name}", f"{folder}/{name}"))
            # fd, transid, flags, four unused, name
            self.made.append((source, parent, struct.pack("=qQQ32x4040s", source, 0, READ_ONLY, b"snapshot")))

    @staticmethod
    def shoot(shot):
        _, parent, arguments = shot
        # Mutable, without which so large an argument is not taken.
        fcntl.ioctl(parent, SNAP_CREATE_V2, bytearray(arguments), True)

    def one_by_one(self):
        for shot in self.made:
            self.shoot(shot)

    def side_by_side(self):
        threads = [threading.Thread(target=self.shoot, args=(shot,)) for shot in self.made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def close(self):
        for source, parent, _ in self.made:
            os.close(source)
            os.close(parent)


def timed(work):
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def frozen(work):
    """Does it while the slice stands still, and thaws it whatever comes of it."""
    events = os.open(f"{CGROUP}/cgroup.events", os.O_RDONLY)
    switch = os.open(f"{CGROUP}/cgroup.freeze", os.O_WRONLY)
    try:
        os.write(switch, b"1")
        while b"frozen 1" not in os.pread(events, 100, 0):
            time.sleep(0)
        work()
    finally:
        os.write(switch, b"0")
        os.close(switch)
        os.close(events)
