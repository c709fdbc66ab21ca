#!/bin/sh
# Who may include whom (docs/house.md). Prints the lines that go against it and fails.
set -u
bad=0
# room, what its files must not include, why
deny() {
	found=$(git ls-files -co --exclude-standard -- "$1" 2>/dev/null | grep -E '\.(c|h|def)$' |
		xargs -r grep -nE "^#[ 	]*include *[<\"]($2)" /dev/null)
	[ -z "$found" ] && return
	printf '%s\n' "$3:" "$found"
	bad=1
}
deny engine '(probes|analysis|cli)/' 'the engine includes nothing of ours'
deny engine '(hdf5|H5|gsl/|cairo|pango|argp|yaml)' 'the engine knows no HDF5, GSL, Cairo, command line'
deny probes '(analysis|cli)/' 'probes include the engine alone'
deny probes '(gsl/|cairo|pango|argp|yaml)' 'probes know no GSL, Cairo, command line'
deny probes 'engine/(model/|op/ops|text/)' \
	'observers see the engine through probe.h, functional.h, base.h'
deny analysis '(cli|engine/[a-z_0-9]*[^e]\.h|engine/(real|spec|ops|model)\.h)' 'analysis includes engine/base.h alone'
deny analysis 'probes/(observe|trace|families|stats)' 'analysis reads run files'
deny analysis/figure '(probes|analysis/(stats|report|runlog)|gsl/|hdf5)' 'figures take plain arrays'
deny cli '(cblas|hdf5|H5|gsl/|cairo|pango)' 'the command line does no mathematics and no layout'
# only these files know these libraries
only() {
	found=$(git ls-files -co --exclude-standard -- '*.c' '*.h' | grep -vE "$2|^tests/" |
		xargs -r grep -nE "^#[ 	]*include *[<\"]($1)" /dev/null)
	[ -z "$found" ] && return
	printf '%s\n' "$3:" "$found"
	bad=1
}
only 'cblas' '^engine/op/(gemm|blas)\.c' 'CBLAS is for gemm.c and blas.c'
only '(hdf5|H5)' '^probes/runfile' 'HDF5 is for the run file'
[ $bad = 0 ] && echo "include directions: fine"
exit $bad
