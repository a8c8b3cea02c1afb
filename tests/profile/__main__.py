"""python -m tests.profile"""

from tests.profile.run import main

main()
