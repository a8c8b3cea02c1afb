"""python -m tests.nemesis"""

from tests.nemesis.run import main

main()
