"""How a process that runs for long collects garbage."""

import gc


def let_garbage_wait() -> None:
    """Look for cycles seldom, and never among what is there by now.

    A batch makes some hundred thousand objects that all go with it, and hardly a cycle: the collector's passes over
    them, and over all that was imported, cost a worker a tenth of its time and free nothing. In the API they make a
    read wait now and then. The threshold is above what the batches of two lanes have alive, so that only what piles up
    makes it look; by then cycles hold some tens of megabytes at most.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(500_000, 50, 100)
