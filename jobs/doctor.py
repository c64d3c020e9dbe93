"""`xlclass doctor` on the session that spark-submit prepares: whether machines, lake and executors can do what the jobs do."""

import sys

from xlclass.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["doctor", *sys.argv[1:]]))
