"""Speed and memory, measured side by side: ``python -m benchmarks --images FOLDER`` (or ``make
bench IMAGES=FOLDER``).

Each module of a stack runs in a process of its own and prints one line of JSON; `measuring` starts
it and watches its memory. Nothing here is asserted by a test: seconds depend on the machine, and
only ratios of one run compare.
"""
