"""The operations of the Functions API, and the only writer of the store.

One module per group: request → validated → stored → pushed to the data plane. HTTP stands in ``platform.api``.
"""
