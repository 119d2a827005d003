# Fetches Debian's packages into a folder, for scripts that source it. Nothing is installed, and
# nobody has to be root. They set `cache`, the folder, in which `apt` is used meanwhile.
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
release=bookworm # has Python 3.11, for which there are wheels of LiteRT and of tflite-runtime
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Ends with 77, which means "skip", and one line with the reason.
skip() {
    echo "skip: $*" >&2
    exit 77
}

need_debian() { # further programs that are needed
    [ "$(uname -s)" = Linux ] || skip "this is $(uname -s), and the emulator runs on Linux"
    for tool in apt-get dpkg-deb "$@"; do
        command -v "$tool" >/dev/null || skip "there is no $tool, to fetch Debian's packages with"
    done
    [ -f $keyring ] || skip "there is no $keyring, to check Debian's packages with"
}

# An apt of its own for each architecture: its lists, its cache, and nothing that is installed yet.
apt() {
    architecture=$1
    shift
    apt-get -qq -o Debug::NoLocking=1 -o APT::Sandbox::User= \
        -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" \
        -o APT::Install-Recommends=0 -o Dir::Etc::SourceList="$cache/apt/sources.list" \
        -o Dir::Etc::SourceParts=- -o Dir::State="$cache/apt/$architecture" \
        -o Dir::State::Status="$cache/apt/$architecture/status" \
        -o Dir::Cache="$cache/apt/$architecture/cache" "$@"
}

# Downloads packages for an architecture, with all that they need: *.deb in archives of that name.
download() { # architecture, packages
    architecture=$1
    shift
    mkdir -p "$cache/apt"
    echo "deb [signed-by=$keyring] $mirror $release main" >"$cache/apt/sources.list"
    mkdir -p "$cache/apt/$architecture/lists/partial" "$cache/apt/$architecture/cache/archives/partial"
    : >"$cache/apt/$architecture/status"
    apt "$architecture" update || skip "$mirror cannot be reached"
    apt "$architecture" -y --download-only install "$@" >/dev/null || skip "$mirror has no $*"
}

fetch() { # architecture, folder to unpack into, packages: with all that they need
    architecture=$1 folder=$2
    shift 2
    download "$architecture" "$@"
    mkdir -p "$folder"
    for package in "$cache/apt/$architecture/cache/archives"/*.deb; do
        dpkg-deb --extract "$package" "$folder"
    done
}
