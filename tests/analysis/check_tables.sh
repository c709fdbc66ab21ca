#!/bin/bash
# LaTeX sets every table of a report, with the two packages that a table names.
#   check_tables.sh TEST_REPORT     of the example that this program saves
#   check_tables.sh FOLDER          of a report that is there
# Exits with 77 where pdflatex or siunitx is not there.
set -u
what=$(realpath "$1")
if ! command -v pdflatex >/dev/null || ! kpsewhich booktabs.sty siunitx.sty >/dev/null; then
	echo "skipped: no pdflatex with booktabs and siunitx (Debian: texlive-science)"
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -d "$what" ]; then
	cp -r "$what/tables" "$work/" || exit 1
else
	"$what" "$work/report" && mv "$work/report/tables" "$work/" || exit 1
fi
cd "$work" || exit 1
export HOME=$work TEXMFVAR=$work/texmf
passed=0 failed=0
for table in tables/*.tex; do
	cat >page.tex <<P
\\documentclass{article}
\\usepackage[a2paper,margin=1cm]{geometry}
$(sed -n 's/^% \(\\usepackage.*\)/\1/p' "$table")
\\begin{document}\\tiny\\noindent
\\input{$table}
\\end{document}
P
	if pdflatex -interaction=nonstopmode -halt-on-error page.tex >out.txt && [ -s page.pdf ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $table: $(grep -A3 '^!' out.txt)"
	fi
	rm -f page.pdf
done
echo "check_tables: $passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
