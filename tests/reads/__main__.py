"""python -m tests.reads"""

from tests.reads.run import main

main()
