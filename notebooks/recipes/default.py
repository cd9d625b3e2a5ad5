"""A program as a recipe: it gets the task as JSON and says what it did; what it prints is the run's log."""

import json
import os
import sys

task = json.load(sys.stdin)
print(f"{os.environ['TINYTASK_AGENT']} works on #{task['id']}: {task['title']}")
if "flaky" in task["tags"]:
    sys.exit("the test server did not come up")  # Any exit code but 0 is a failure.
