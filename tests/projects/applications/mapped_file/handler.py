"""Maps a file into memory."""

import mmap
import tempfile


def handle(event, context):
    with tempfile.TemporaryFile() as file:
        file.truncate(mmap.PAGESIZE * 4)
        with mmap.mmap(file.fileno(), 0) as memory:
            memory[mmap.PAGESIZE:mmap.PAGESIZE + 5] = b"hello"
            memory.flush()
        file.seek(mmap.PAGESIZE)
        return {"body": file.read(5).decode()}
