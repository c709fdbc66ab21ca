#!/bin/bash
# Who may include whom (docs/house.md): each room lists what it may include, and everything else is
# refused. No two rooms of one folder include each other.
#
#   check_includes.sh [DIR]        checks the tree in DIR (default: this repository)
#   check_includes.sh --self-test  shows that every row of the table can fail
#
# Prints the lines that go against it and exits 1.
set -u
here=$(cd "$(dirname "$0")/.." && pwd)

# room: folders (their own headers, not those of folders within) and single headers of ours, and the
# libraries whose headers it may see. A room may always include itself. The C library, POSIX and
# <omp.h> are free.
rules='
engine            : engine/pos : Random123/
engine/pos        : engine :
engine/text       : engine engine/pos : jansson.h pcre2.h utf8proc.h xxhash.h
engine/files      : engine engine/pos : jansson.h
engine/op         : engine engine/pos : cblas.h
engine/model      : engine engine/pos engine/text engine/files engine/op : jansson.h immintrin.h
probes/runfile    : engine/base.h engine/vector.h : hdf5.h hdf5_hl.h jansson.h libdeflate.h
probes/config     : engine/base.h engine/spec.h engine/pos : yaml.h
probes/observe    : engine engine/pos engine/op probes/runfile/runfile.h probes/runfile/select.h :
probes/record     : engine probes/observe probes/runfile :
probes/lab        : engine engine/pos engine/text engine/files engine/op engine/model probes/runfile probes/config probes/observe probes/record : jansson.h xxhash.h
analysis/stats    : engine/base.h : gsl/
analysis/figure   : engine/base.h : cairo-pdf.h cairo-svg.h pango/pangocairo.h
analysis/report   : engine/base.h analysis/figure/figure.h probes/runfile/runfile.h : jansson.h xxhash.h glib.h
analysis          : engine/base.h analysis/stats probes/runfile/runfile.h : jansson.h
analysis/gallery  : engine/base.h analysis analysis/figure probes/runfile/runfile.h probes/runfile/select.h probes/config/config.h engine/pos/pos.h : jansson.h
analysis/sections : analysis analysis/gallery analysis/report analysis/stats analysis/figure/figures.h probes/runfile/runfile.h : jansson.h
cli               : engine engine/pos engine/text engine/files engine/model engine/op/blas.h probes/runfile probes/config probes/observe probes/record probes/lab analysis analysis/stats analysis/figure analysis/report analysis/gallery analysis/sections cli/bench cli/study : argp.h jansson.h xxhash.h yaml.h
cli/bench         : engine engine/model engine/op/blas.h probes/config probes/observe probes/lab analysis/stats cli :
cli/study         : engine engine/pos engine/text probes/config probes/observe probes/runfile probes/lab analysis/sections cli : jansson.h yaml.h
'
# headers of the C library and of POSIX (and GCC's way to them)
free=' assert ctype dirent errno fcntl float ftw inttypes libgen limits locale math omp poll pthread sched setjmp signal stdarg stdatomic stdbool stddef stdint stdio stdlib string strings sys/mman sys/resource sys/stat sys/sysinfo sys/time sys/types sys/utsname sys/wait time unistd termios sys/ioctl sys/file sys/prctl sys/statfs glob fnmatch cpuid '

# every include of the tree in $1: "file<TAB>header", whatever the spacing and the quotes; a header
# that is not written out (a macro) comes as it stands
includes() {
	(cd "$1" && find engine probes analysis cli -name '*.[ch]' -o -name '*.def' | sort |
		xargs grep -nE '^[[:space:]]*#[[:space:]]*include' /dev/null |
		sed -E 's/^([^:]*):[0-9]+:[[:space:]]*#[[:space:]]*include[[:space:]]*([<"]?)([^">]*).*/\1\t\3/')
}

# reads includes, prints what is wrong
judge() {
	awk -F '\t' -v rules="$rules" -v free="$free" '
	function dir(p) { return sub("/[^/]*$", "", p) ? p : "" }
	function allowed(room, h, list, i, n, d) {
		d = dir(h)
		if (d == room) return 1
		n = split(may[room], list, " ")
		for (i = 1; i <= n; i++)
			if (list[i] == h || list[i] == d) return 1
		return 0
	}
	function library(room, h, list, i, n) {
		n = split(lib[room], list, " ")
		for (i = 1; i <= n; i++)
			if (list[i] == h || (list[i] ~ /\/$/ && index(h, list[i]) == 1)) return 1
		return 0
	}
	BEGIN {
		n = split(rules, line, "\n")
		for (i = 1; i <= n; i++) {
			if (split(line[i], part, ":") < 3) continue
			gsub(/[ \t]/, "", part[1])
			may[part[1]] = part[2]; lib[part[1]] = part[3]
		}
	}
	{
		room = dir($1); h = $2
		if (!(room in may)) { print $1 ": the folder " room " is no room of the house"; bad = 1; next }
		if (h ~ /^(engine|probes|analysis|cli)\//) {
			if (!allowed(room, h)) { print $1 ": " room " may not include " h; bad = 1 }
			to = dir(h)
			if (to != room && dir(to) == dir(room)) {
				if ((to, room) in edge) { print $1 ": " room " and " to " include each other"; bad = 1 }
				edge[room, to] = 1
			}
			next
		}
		name = h; sub(/\.h$/, "", name)
		if (index(free, " " name " ") || library(room, h)) next
		print $1 ": " room " may not include " h; bad = 1
	}
	END { exit bad }'
}

# plants what each row forbids, one file a room, and counts the complaints
self_test() {
	local bad=0 tmp room may libs want got
	tmp=$(mktemp -d)
	# shellcheck disable=SC2064 # now
	trap "rm -rf '$tmp'" EXIT
	local headers foreign='cblas.h hdf5.h hdf5_hl.h gsl/gsl_math.h cairo-pdf.h cairo-svg.h pango/pangocairo.h argp.h jansson.h yaml.h xxhash.h glib.h libdeflate.h pcre2.h utf8proc.h immintrin.h Random123/philox.h zlib.h "local.h MACRO'
	headers=$(cd "$here" && find engine probes analysis cli -name '*.h' | sort)
	while IFS=: read -r room may libs; do
		room=${room// /}
		[ -n "$room" ] || continue
		rm -rf "${tmp:?}"/*
		mkdir -p "$tmp"/{engine,probes,analysis,cli} "$tmp/$room"
		want=0
		for h in $headers $foreign; do
			case $h in
			MACRO) printf '#include MACRO\n' ;;
			\"*) printf '\t#\tinclude %s"\n' "$h" ;;
			*/*.h) printf ' # include  "%s"\n' "$h" ;;
			*) printf '#include<%s>\n' "$h" ;;
			esac >>"$tmp/$room/planted.c"
			ok=no d=${h%/*}
			[ "$d" = "$room" ] && ok=yes
			for m in $may $libs; do
				if [ "$m" = "$h" ] || [ "$m" = "$d" ] || { [[ $m == */ ]] && [[ $h == "$m"* ]]; }; then ok=yes; fi
			done
			[ $ok = yes ] || want=$((want + 1))
		done
		got=$(includes "$tmp" | judge | grep -c 'may not include')
		if [ "$got" != "$want" ] || [ "$want" = 0 ]; then
			echo "$room: $want planted includes are not allowed, $got were refused"
			bad=1
		fi
	done <<<"$rules"
	# rooms that include each other
	rm -rf "${tmp:?}"/*
	mkdir -p "$tmp"/{engine,probes/lab,probes/record,analysis,cli}
	echo '#include "probes/record/x.h"' >"$tmp/probes/lab/x.c"
	echo '#include "probes/lab/x.h"' >"$tmp/probes/record/x.c"
	includes "$tmp" | judge | grep -q 'include each other' ||
		{ echo "two rooms that include each other were not seen"; bad=1; }
	# a folder that no row names
	rm -rf "${tmp:?}"/*
	mkdir -p "$tmp"/{engine/attic,probes,analysis,cli}
	echo '#include "engine/base.h"' >"$tmp/engine/attic/x.c"
	includes "$tmp" | judge | grep -q 'no room' || { echo "a folder without a row was not seen"; bad=1; }
	return $bad
}

case ${1:-} in
--self-test) self_test && echo "include directions can fail: fine" ;;
*) includes "${1:-$here}" | judge && echo "include directions: fine" ;;
esac
