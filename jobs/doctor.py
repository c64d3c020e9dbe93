"""Runs `xlclass doctor` in the session of spark-submit: checks that the machines, the lake and the executors can run the jobs."""

import sys

from xlclass.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["doctor", *sys.argv[1:]]))
