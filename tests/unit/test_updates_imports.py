"""What updating loads, and what it must never load; each in a process of its own."""

import subprocess
import sys


def test_the_http_libraries_of_the_stock_client_are_never_loaded() -> None:
    code = (
        "import sys, ondevice.updates.trust, ondevice.updates.install, ondevice.updates.fetch, "
        "ondevice.updates.embedded, ondevice.updates.staging\n"
        "print(sorted({'urllib3', 'requests', 'tuf.ngclient'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_listing_what_is_installed_loads_neither_metadata_nor_network_code() -> None:
    code = (
        "import sys, ondevice.updates.install as i, ondevice.updates.embedded as e\n"
        "from pathlib import Path; from ondevice.paths import Home\n"
        "i.installed(Home(Path('/nonexistent')))\n"
        "print(sorted({'tuf', 'securesystemslib', 'ssl', 'http.client'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
