#!/bin/bash
# What README.md and docs/verbs.md print runs as printed: every line of their sh blocks, in order, in one shell,
# in a folder where the demo has been; every path that they name is there; the finding of the first
# page has the numbers of the committed table. The demo's study is the recipe of the quick form, made tiny.
#   check_readme.sh SEXTANT
set -u
# shellcheck source=tests/support/verbs.sh
source "$(dirname "$0")/../support/verbs.sh"
tree=$(realpath "$here/../..")

# Lines that install, build or train for minutes: not run here.
is_excepted() {
	case $1 in
	"scripts/demo.sh "* | "scripts/test.sh "* | "cmake "* | "git clone "* | "sextant train -o runs/"*) true ;;
	*) false ;;
	esac
}

# ---- a folder as the demo leaves it: the tree, the program in its place, the quick study ----
for f in "$tree"/*; do
	case ${f##*/} in
	build | runs | demo-out) ;;
	*) ln -s "$f" . ;;
	esac
done
mkdir -p build/release
ln -s "$(dirname "$sextant")" build/release/cli
for i in $(seq 400); do echo "The quick brown fox $i jumps over $((i * 7919 % 1000)) lazy dogs."; done >text.txt
# every number that costs time is replaced; a recipe that says it in other words fails here
tiny() {
	local script=$1 before after
	before=$(cat tiny.yaml) after=$(sed -E "$script" tiny.yaml)
	[ "$before" != "$after" ] || no "the recipe does not have what is to be made tiny: $script"
	printf '%s\n' "$after" >tiny.yaml
}
cp "$tree/analysis/studies/quick.yaml" tiny.yaml
drop=$(sed -nE 's/.*branch: rope@([0-9]+).*/\1/p' tiny.yaml | head -1)
later=$(sed -nE 's/.*of: drope@([0-9]+).*/\1/p' tiny.yaml | head -1)
tiny "s/@$drop/@14/g; s/drop_at: $drop/drop_at: 14/; s/@$later/@17/; s/\\[$drop, $later\\]/[14, 17]/"
tiny 's/train: \{steps: [0-9]+, batch: [0-9]+/train: {steps: 16, batch: 2/'
tiny 's/(drop: \{[^}]*)steps: [0-9]+/\1steps: 6/'
tiny 's/train: \{steps: [0-9]{2,}\}/train: {steps: 20}/'
tiny 's/trials: [0-9]+/trials: 4/; s/choose: [0-9]+/choose: 4/; s/windows: [0-9]+/windows: 2/'
tiny 's/layers: 8, width: 256, heads: 8/layers: 2, width: 64, heads: 2/'
q=demo-out/quick
if ! build/release/cli/sextant study ./tiny.yaml 'data.text=[text.txt]' --work $q/runs -o $q/report >log.txt 2>&1; then
	no "the study that stands for the demo's: $(tail -5 log.txt)"
fi

# ---- every line of the sh blocks, the pages one after the other as they are read ----
ran=0
for page in README.md docs/verbs.md; do
	awk '/^```/ { on = ($0 == "```sh"); next } on && NF' $page >lines.txt
	while IFS= read -r line <&3; do
		if is_excepted "$line"; then continue; fi
		ran=$((ran + 1))
		if eval "$line" >out.txt 2>&1; then ok; else no "$page: $line: exit $?: $(tail -3 out.txt)"; fi
	done 3<lines.txt
done
if [ $ran -ge 8 ]; then ok; else no "only $ran lines were found to run"; fi

# ---- every path of the tree that the pages name ----
for page in README.md docs/verbs.md docs/python.md; do
	{
		grep -oE '\]\([^)]+\)' $page | sed "s/^](//; s/)\$//; s/#.*//; /^https:/d; s,^,$(dirname $page)/,"
		grep -oE '\b(scripts|docs|analysis|notebooks-out|demo-out/quick)/[A-Za-z0-9_./-]*[A-Za-z0-9]' $page
	} >paths.txt
	while IFS= read -r path; do
		if [ -e "$path" ]; then ok; else no "$page names $path, which is not there"; fi
	done <paths.txt
done

# ---- the finding's numbers are those of the table ----
table=notebooks-out/quickstart/tables/drop.csv
for column in 6 9 12; do # before, after, end
	n=$(awk -F, -v c=$column '$1 == "DroPE" && $2 == 1 && $3 == "A_c previous" && $4 == 2 && $5 == 1 { printf "%.3f", $c }' $table)
	if [ -n "$n" ] && grep -q -- "$n" README.md; then ok; else no "README.md does not say $n, column $column of $table"; fi
done

count
