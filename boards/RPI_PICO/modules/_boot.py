# Mounts the file system, which ends where the lease region begins (boards/RPI_PICO/README.md).
# Differs from the stock _boot.py in that, and in what it does on doubt: a file system over the
# whole storage (from a stock firmware) is mounted as it is, never formatted. It then covers the
# lease region, and os.statvfs('/')[2] tells so.
import rp2
import vfs


def _mount(blocks):
    vfs.mount(vfs.VfsLfs2(rp2.Flash(start=0, len=blocks * 4096), progsize=256), "/")


_total = rp2.Flash().ioctl(4, 0)
try:
    _mount(_total - 32)
except OSError:
    try:
        _mount(_total)
    except OSError:
        vfs.VfsLfs2.mkfs(rp2.Flash(start=0, len=(_total - 32) * 4096), progsize=256)
        _mount(_total - 32)
