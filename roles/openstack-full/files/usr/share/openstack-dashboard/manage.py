#!/usr/bin/python3
"""Django's commands of the dashboard, in place of the package's file of this name.

`compress` has four threads, which share one compiler of style sheets that is not made for that: on
a busy machine it finds syntax errors where there are none. Here it has one.
"""

import concurrent.futures
import os
import sys

from django.core.management import execute_from_command_line


class OneThread(concurrent.futures.ThreadPoolExecutor):
    """An executor that does one thing at a time, whatever it is asked for."""

    def __init__(self, max_workers=None):
        super().__init__(max_workers=1)


if __name__ == "__main__":
    concurrent.futures.ThreadPoolExecutor = OneThread
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openstack_dashboard.settings")
    execute_from_command_line(sys.argv)
