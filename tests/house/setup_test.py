"""What tools/setup.sh and tools/find_cargo.sh decide on other machines: commands of the system are played by stubs."""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
REAL = "bash sh env dirname sed tr sort tail cut ls cat awk mkdir grep uname rm cp mktemp".split()
WHEELS = re.findall(r"^([a-z0-9-]+)==([0-9.]+)", (ROOT / "requirements/torch.txt").read_text(), re.MULTILINE)


class Machine:
    """A folder of stubs that is the whole PATH, and a Python environment as a finished set-up leaves it."""

    def __init__(self, folder):
        self.bin = Path(folder) / "bin"
        self.venv = Path(folder) / "venv"
        self.os_release = Path(folder) / "os-release"
        self.os_release.write_text("ID=debian\n")
        self.bin.mkdir()
        for name in REAL:
            real = next(p for p in (Path("/bin") / name, Path("/usr/bin") / name) if p.exists())
            (self.bin / name).symlink_to(real)
        self.stub("id", "echo 1000")
        self.stub("dpkg-query", "echo installed")
        self.stub("apt-cache", "")
        self.stub("df", "echo; echo /dev/x 1 1 999999 1% /")
        self.rust("1.90.0")
        for name, version in WHEELS:
            installer = self.installer(name, version)
            installer.parent.mkdir(parents=True)
            installer.write_text("pip\n")

    def installer(self, name, version):
        return self.venv / f"lib/python3.11/site-packages/{name.replace('-', '_')}-{version}.dist-info/INSTALLER"

    def stub(self, name, script):
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def rust(self, version, suffix=""):
        self.stub("cargo" + suffix, f"echo 'cargo {version} (x)'")
        self.stub("rustc" + suffix, f"echo 'rustc {version} (x)'")

    def run(self, *command):
        result = subprocess.run(command, cwd=ROOT, env={"PATH": str(self.bin), "OS_RELEASE": str(self.os_release)}, capture_output=True, text=True, check=False)
        return result.returncode, result.stdout + result.stderr

    def setup(self):
        return self.run(str(ROOT / "tools/setup.sh"), str(self.venv))


class Setup(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.machine = Machine(folder.name)

    def test_nothing_to_do_says_nothing(self):
        self.assertEqual(self.machine.setup(), (0, ""))

    def test_missing_packages_are_one_line(self):
        self.machine.stub("dpkg-query", 'for last; do :; done; case "$last" in libgif-dev|cmake) exit 1;; esac; echo installed')
        status, text = self.machine.setup()
        self.assertEqual(status, 1)
        lines = [line for line in text.splitlines() if "apt-get install" in line]
        self.assertEqual(len(lines), 1)
        self.assertTrue(lines[0].endswith("--no-install-recommends cmake libgif-dev"), lines[0])

    def test_who_compiles_no_tests_needs_no_packages_for_them(self):
        self.machine.stub("dpkg-query", 'for last; do :; done; [ "$last" = libgtest-dev ] || echo installed')
        status, text = self.machine.setup()
        self.assertEqual(status, 1)
        self.assertTrue(text.rstrip().endswith("--no-install-recommends libgtest-dev"), text)
        self.assertEqual(self.machine.run("env", "TESTS=0", str(ROOT / "tools/setup.sh"), str(self.machine.venv)), (0, ""))

    def test_who_packs_needs_more(self):
        self.machine.stub("dpkg-query", 'for last; do :; done; case "$last" in patchelf|dpkg-dev) exit 1;; esac; echo installed')
        status, text = self.machine.run("env", "TESTS=0", "PACKAGE=1", str(ROOT / "tools/setup.sh"), str(self.machine.venv))
        self.assertEqual(status, 1)
        self.assertTrue(text.rstrip().endswith("--no-install-recommends patchelf dpkg-dev"), text)

    def test_debian_gets_cargo_web(self):
        self.machine.rust("1.66.0")
        status, text = self.machine.setup()
        self.assertEqual(status, 1)
        self.assertTrue(text.rstrip().endswith("cargo-web"), text)

    def test_debian_without_security_updates(self):
        self.machine.rust("1.85.0")
        self.machine.stub("apt-cache", 'case "$1" in policy) echo "  Candidate: 1.85.0+dfsg3-1";; esac')
        status, text = self.machine.setup()
        self.assertEqual(status, 1)
        self.assertIn("bookworm-security main' | sudo tee /etc/apt/sources.list.d/", text)
        self.machine.stub("sudo", """echo "sudo $*"
          for word; do case $word in Dir::Etc::SourceParts=*) cat "${word#*=}/security.list";; esac; done
          case "$*" in *install*) for tool in cargo rustc; do printf '#!/bin/sh\necho "x 1.96.0 (x)"\n' >"${0%/*}/$tool"; done;; esac""")
        status, text = self.machine.run("env", "SUDO=1", str(ROOT / "tools/setup.sh"), str(self.machine.venv))
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r"sudo apt-get -o Dir::Etc::SourceParts=(\S+) update\ndeb .* bookworm-security main\n.*apt-get -o Dir::Etc::SourceParts=\1 install")

    def test_ubuntu_gets_its_newest_cargo(self):
        self.machine.rust("1.75.0")
        self.machine.stub("apt-cache", "echo 'cargo-1.89 - x'; echo 'cargo-1.100 - x'; echo 'cargo-1.80 - x'")
        status, text = self.machine.setup()
        self.assertEqual(status, 1)
        self.assertTrue(text.rstrip().endswith("cargo-1.100 rustc-1.100"), text)

    def test_ubuntu_without_package_lists(self):
        self.machine.rust("1.75.0")
        self.machine.os_release.write_text("NAME=Ubuntu\nID=ubuntu\n")
        status, text = self.machine.setup()
        self.assertEqual(status, 1)
        self.assertTrue(text.rstrip().endswith("sudo apt-get update"), text)

    def test_sudo_installs_what_is_missing(self):
        self.machine.stub("dpkg-query", 'for last; do :; done; [ "$last" != cmake ] || [ -e "$0.done" ] && echo installed')
        self.machine.stub("sudo", 'echo "sudo $*"; case "$*" in *install*) echo >"${0%/*}/dpkg-query.done";; esac')
        status, text = self.machine.run("env", "SUDO=1", str(ROOT / "tools/setup.sh"), str(self.machine.venv))
        self.assertEqual(status, 0, text)
        install = "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends cmake"
        self.assertEqual(text.splitlines(), ["sudo apt-get update", f"sudo {install}"])

    def test_broken_off_install_does_not_count(self):
        self.machine.installer(*WHEELS[0]).unlink()
        self.machine.stub("df", "echo; echo /dev/x 1 1 10 99% /")
        status, text = self.machine.setup()
        self.assertEqual(status, 1)
        self.assertIn("has 10 MB free, but 3000 MB are needed", text)

    def test_python_without_a_wheel(self):
        self.machine.installer(*WHEELS[0]).unlink()
        self.machine.stub("python3", 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
        status, text = self.machine.setup()
        self.assertEqual(status, 1)
        self.assertIn("Python 3.9.2 has no wheel", text)


class FindCargo(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.machine = Machine(folder.name)

    def found(self):
        status, text = self.machine.run(str(ROOT / "tools/find_cargo.sh"))
        return [Path(word).name for word in text.split()] if status == 0 else None

    def test_plain(self):
        self.assertEqual(self.found(), ["cargo", "rustc"])

    def test_newest_versioned_beside_an_old_one(self):
        self.machine.rust("1.75.0")
        self.machine.rust("1.88.0", "-1.88")
        self.machine.rust("1.100.0", "-1.100")
        self.machine.rust("1.80.0", "-1.80")
        self.assertEqual(self.found(), ["cargo-1.100", "rustc-1.100"])

    def test_cargo_without_its_rustc(self):
        self.machine.rust("1.75.0")
        self.machine.rust("1.89.0", "-1.89")
        (self.machine.bin / "rustc-1.89").unlink()
        self.assertIsNone(self.found())

    def test_none(self):
        self.machine.rust("1.86.0")
        self.assertIsNone(self.found())


class Demo(unittest.TestCase):
    def test_compiles_the_program_alone(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        plan = subprocess.run(["make", "-n", "demo"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
        builds = [line for line in plan if line.startswith("cmake --build")]
        self.assertEqual([line.split("--target ")[1] for line in builds], ["lithe"])
        first = [line.split()[0] for line in plan if line.startswith(("tools/", "build/"))]
        self.assertEqual((first[0], first[-1]), ("tools/demo_times.sh", "build/lithe"))
        self.assertTrue(any("TESTS=0" in line and "tools/setup.sh" in line for line in plan), plan)

    def test_says_how_long_it_takes_until_it_is_compiled(self):
        with tempfile.TemporaryDirectory() as folder:
            said = lambda: subprocess.run([ROOT / "tools/demo_times.sh", ".venv", "2"], cwd=folder, capture_output=True, text=True, check=True).stdout
            for word in ("560 MB", "compiling", "answers"):
                self.assertIn(word, said())
            (Path(folder) / ".venv/lib/python3.11/site-packages/torch/lib").mkdir(parents=True)
            self.assertNotIn("560 MB", said())
            program = Path(folder) / "build/release/bin/lithe"
            program.parent.mkdir(parents=True)
            program.touch(0o755)
            self.assertEqual(said(), "")


if __name__ == "__main__":
    unittest.main()
