"""For all tests."""

import gc


def pytest_collection_finish() -> None:
    """Take the tests themselves, millions of objects, out of what each collection looks through.

    One that falls into a workflow task on a busy machine would last longer than Temporal waits.
    """
    gc.collect()
    gc.freeze()
