/* The report: every form says the same, twice the same bytes, and nothing of anyone else's is lost.
 *   test_report FOLDER   saves the example there, for check_notebook.sh */
#include "analysis/report/report.h"
#include "tests/support/figure_folder.h"

#include <dirent.h>
#include <hdf5.h>
#include <hdf5_hl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define NOT_A_NUMBER (double)NAN

/* ---- an example with everything in it ---- */

static const double xs[] = {1, 10, 100}, ys[] = {0.5, 0.25, 0.125}, zs[] = {0.5, -1.0 / 3, 7};

static sx_fig *lines_figure(void)
{
	sx_fig *f = NULL;
	const double low[] = {0.4, 0.2, 0.1}, high[] = {0.6, 0.3, NOT_A_NUMBER};
	assert_int_equal(sx_fig_new(&f, NULL, sx_fig_style_find("notebook"), 1, 2), SX_OK);
	sx_fig_about(f, "Loss", "Loss of two runs: \"RoPE\" falls & stays <low>, \xCE\xB1 = 1.");
	for (int k = 0; k < 2; k++) {
		sx_fig_axis x = {.label = "Updates",
				 .map = SX_FIG_LOG10,
				 .lo = NOT_A_NUMBER,
				 .hi = NOT_A_NUMBER};
		sx_fig_axis y = {
			.label = "$A^c_\\ell$ < 1", .lo = NOT_A_NUMBER, .hi = NOT_A_NUMBER};
		int p = sx_fig_panel(f, 0, k, k ? "after" : "all", x, y);
		int s = sx_fig_series(f, k ? "DroPE" : "RoPE", sx_fig_look_of(SX_FIG_ROPE, 0));
		sx_fig_band(f, p, s, xs, low, high, 3);
		sx_fig_line(f, p, s, xs, ys, 3);
		sx_fig_line(f, p, s, xs, zs, 3);
		sx_fig_points(f, p, s, xs, ys, 3);
		sx_fig_vline(f, p, 10, "drop");
		sx_fig_note(f, p, 10, 0.3, "here");
	}
	return f;
}

static sx_fig *heat_figure(void)
{
	sx_fig *f = NULL;
	const double z[] = {0.5, NOT_A_NUMBER, 0.25, 1};
	const sx_fig_axis axis = {.label = "Key", .lo = -0.5, .hi = 1.5};
	assert_int_equal(sx_fig_new(&f, NULL, sx_fig_style_find("notebook"), 1, 1), SX_OK);
	sx_fig_share(f, 1);
	sx_fig_about(f, "Maps", "One map.");
	sx_fig_colour_scale(f, (sx_fig_colours){"Weight", SX_FIG_VIRIDIS, SX_FIG_LINEAR, 0, 1, 1});
	sx_fig_heat(f, sx_fig_panel(f, 0, 0, "L0 H0", axis, axis), z, 2, 2);
	return f;
}

static void add_losses(sx_report *r)
{
	sx_report_table *t = sx_report_table_add(r, "losses", "loss", "Loss & interval, `95 %`.");
	sx_report_col_text(t, "run", "Run", "name of the run");
	sx_report_col_int(t, "updates", "Updates", "", "updates applied");
	sx_report_col_interval(t, "before", "Before", "nat", "loss before the drop", "%.2f");
	sx_report_col_real(t, "change", "Change", "%", "change of the loss", "%+.1f");
	sx_report_col_real(t, "ac", "A_c", "1", "A_c of one head", "%.2e");
	sx_report_cell_text(t, "RoPE \xCE\xB8, \"one\"");
	sx_report_cell_int(t, 963);
	sx_report_cell_interval(t, 2.0 / 3, 0.6, 0.7);
	sx_report_cell_real(t, -3.14);
	sx_report_cell_real(t, 1e-12);
	sx_report_cell_text(t, "<b>|NoPE|_&\n");
	sx_report_cell_int(t, -1);
	sx_report_cell_interval(t, NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER);
	sx_report_cell_real(t, (double)INFINITY);
	sx_report_cell_real(t, NOT_A_NUMBER);
	sx_report_cell_text(t, "");
	sx_report_cell_int(t, 12345);
	sx_report_cell_interval(t, 10.5, NOT_A_NUMBER, 11);
	sx_report_cell_real(t, 0);
	sx_report_cell_real(t, -12.5);
}

static sx_report *example(const char *input)
{
	sx_report *r = NULL;
	sx_report_table *t;
	assert_int_equal(sx_report_new(&r, NULL, "What <becomes> of position & why: \xCE\xB3"),
			 SX_OK);
	sx_report_origin(r, "abc123-dirty", "sextant report 'a b' -o out");
	sx_report_summary(r, "The loss rises by *0.21 nats*; `A_c < 0.1` in 2*3*4 heads & $5.");
	sx_report_summary(r, "- not a list, *not closed, a_b");
	sx_report_input(r, input, "A run");
	sx_report_param(r, "seeds", "1, 2");
	sx_report_param(r, "drop_at", "963");
	sx_report_section(r, "Loss <1>");
	sx_report_text(r, "1. Not a list.");
	sx_report_text(r, "[no](link) \xC3\x28 invalid");
	sx_report_figure(r, lines_figure(), "loss", "Loss, *two* panels.");
	add_losses(r);
	sx_report_text(r, "Between.");
	sx_report_section(r, "Loss <1>");
	sx_report_figure(r, heat_figure(), "maps", "Maps.");
	t = sx_report_table_add(r, "changes", "changes", "Nothing changed.");
	sx_report_col_text(t, "head", "Head", "head");
	sx_report_col_interval(t, "share", "Share", "1", "positional share", "%.3g");
	return r;
}

static char *put_input(void)
{
	char *path = in_dir("input.h5");
	assert_int_equal(sx_write_file(NULL, path, "what was read", 13), SX_OK);
	return path;
}

static void save(const char *name)
{
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	sx_report *r = example(put_input());
	if (sx_report_save(r, &ctx, in_dir(name)) != SX_OK) fail_msg("%s", ctx.message);
	sx_report_free(r);
}

static char *part(const char *folder, const char *name)
{
	char path[200];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return in_dir(path);
}

static json_t *load(const char *folder, const char *name)
{
	json_t *j = json_load_file(part(folder, name), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	return j;
}

/* Names in the test's folder that do not begin with a dot. */
static int count_names(void)
{
	int n = 0;
	DIR *d = opendir(dir);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* ---- the folder ---- */

static void test_manifest_and_bytes(void **state)
{
	(void)state;
	save("one");
	save("two");
	save("two"); /* over itself */
	json_t *m = load("one", "manifest.json"), *row;
	json_t *outputs = json_object_get(m, "outputs"), *input;
	size_t i, size, again;
	assert_int_equal(json_array_size(outputs), 2 * 3 + 2 * 2 + 3);
	json_array_foreach(outputs, i, row)
	{
		const char *name = json_string_value(json_object_get(row, "path"));
		char *a = slurp(part("one", name), &size), *b = slurp(part("two", name), &again);
		char hash[40];
		if (size != again || memcmp(a, b, size) != 0) fail_msg("%s differs", name);
		XXH128_hash_t h = XXH3_128bits(a, size);
		snprintf(hash, sizeof hash, "%016llx%016llx", (unsigned long long)h.high64,
			 (unsigned long long)h.low64);
		assert_string_equal(hash, json_string_value(json_object_get(row, "xxh128")));
		assert_int_equal(size, json_integer_value(json_object_get(row, "bytes")));
		free(a);
		free(b);
	}
	char *a = slurp(part("one", "manifest.json"), NULL);
	char *b = slurp(part("two", "manifest.json"), NULL);
	assert_string_equal(a, b);
	free(a);
	free(b);
	input = json_array_get(json_object_get(m, "inputs"), 0);
	XXH128_hash_t h = XXH3_128bits("what was read", 13);
	unsigned long long high =
		strtoull(json_string_value(json_object_get(input, "xxh128")) + 16, NULL, 16);
	assert_true(high == (unsigned long long)h.low64);
	assert_string_equal(json_string_value(json_object_get(m, "git")), "abc123-dirty");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(m, "parameters"), "seeds")),
		"1, 2");
	json_decref(m);
	assert_int_equal(count_names(), 3); /* one, two, the input */
}

static void refused(const char *folder, const char *input, sx_status want, const char *word)
{
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	sx_report *r = example(input);
	sx_status st = sx_report_save(r, &ctx, folder);
	if (st != want || !strstr(ctx.message, word)) fail_msg("%d: %s", (int)st, ctx.message);
	sx_report_free(r);
}

static void put(const char *path, const char *text)
{
	assert_int_equal(sx_write_file(NULL, path, text, strlen(text)), SX_OK);
}

static void test_place(void **state)
{
	(void)state;
	char *input = put_input();
	assert_int_equal(mkdir(in_dir("theirs"), 0777), 0);
	put(part("theirs", "work.txt"), "mine");
	put(part("theirs", "manifest.json"), "{\"schema\": \"another\"}");
	int before = count_names();
	refused(in_dir("theirs"), input, SX_ECREATE, "not of a report");
	refused(in_dir("input.h5"), input, SX_ECREATE, "no folder");
	refused(in_dir("new"), in_dir("absent.h5"), SX_ENOINPUT, "absent.h5");
	refused(in_dir("input.h5/new"), input, SX_ECREATE, "input.h5");
	refused("", input, SX_EUSAGE, "folder");
	assert_int_equal(count_names(), before);
	char *kept = slurp(part("theirs", "work.txt"), NULL);
	assert_string_equal(kept, "mine");
	free(kept);

	/* an empty folder, a trailing slash, parents that are not there */
	assert_int_equal(mkdir(in_dir("empty"), 0777), 0);
	save("empty/");
	save("deep/er/report");
	assert_true(sx_path_exists(in_dir("deep/er/report/report.html")));

	/* what was done with a report is not lost */
	put(part("empty", "figures/mine.pdf"), "mine");
	refused(in_dir("empty"), input, SX_ECREATE, "figures/mine.pdf");
	assert_int_equal(unlink(part("empty", "figures/mine.pdf")), 0);
	assert_int_equal(mkdir(part("empty", ".ipynb_checkpoints"), 0777), 0);
	save("empty");
	put(part("empty", "report.ipynb"), "{}");
	refused(in_dir("empty"), input, SX_ECREATE, "was changed");
	assert_int_equal(unlink(part("empty", "report.ipynb")), 0);
	save("empty"); /* only something missing */

	/* a failure after the beginning leaves the old one whole */
	char *old = slurp(part("empty", "report.html"), NULL);
	before = count_names();
	refused(in_dir("empty"), in_dir("absent.h5"), SX_ENOINPUT, "absent.h5");
	char *now = slurp(part("empty", "report.html"), NULL);
	assert_string_equal(old, now);
	assert_int_equal(count_names(), before);
	free(old);
	free(now);
}

static void misused(void (*wrong)(sx_report *r), const char *word)
{
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	sx_report *r = NULL;
	assert_int_equal(sx_report_new(&r, NULL, "t"), SX_OK);
	wrong(r);
	sx_status st = sx_report_save(r, &ctx, in_dir("wrong"));
	if (st != SX_EINTERNAL || !strstr(ctx.message, word))
		fail_msg("%d: %s", (int)st, ctx.message);
	sx_report_free(r);
	assert_false(sx_path_exists(in_dir("wrong")));
}

static void bad_name(sx_report *r)
{
	sx_report_table_add(r, "a-b", "c", "");
}
static void twice(sx_report *r)
{
	sx_report_table_add(r, "a", "c", "");
	sx_report_table_add(r, "b", "c", "");
}
static void bad_format(sx_report *r)
{
	sx_report_col_real(sx_report_table_add(r, "a", "b", ""), "x", "x", "1", "x", "%.2f %n");
}
static void bad_kind(sx_report *r)
{
	sx_report_table *t = sx_report_table_add(r, "a", "b", "");
	sx_report_col_text(t, "x", "x", "x");
	sx_report_cell_int(t, 1);
}
static void torn_row(sx_report *r)
{
	sx_report_table *t = sx_report_table_add(r, "a", "b", "");
	sx_report_col_int(t, "x", "x", "1", "x");
	sx_report_col_int(t, "y", "y", "1", "y");
	sx_report_cell_int(t, 1);
}
static void no_columns(sx_report *r)
{
	sx_report_cell_int(sx_report_table_add(r, "a", "b", ""), 1);
}
static void interval_clash(sx_report *r)
{
	sx_report_table *t = sx_report_table_add(r, "a", "b", "");
	sx_report_col_interval(t, "x", "x", "1", "x", "%.2f");
	sx_report_col_int(t, "x_lo", "x", "1", "x");
}
static void other_clash(sx_report *r)
{
	sx_report_table *t = sx_report_table_add(r, "a", "b", "");
	sx_report_col_int(t, "x_hi", "x", "1", "x");
	sx_report_col_interval(t, "x", "x", "1", "x", "%.2f");
}
static void no_figure(sx_report *r)
{
	sx_report_figure(r, NULL, "x", "");
}
static void two_figures(sx_report *r)
{
	sx_report_figure(r, heat_figure(), "x", "");
	sx_report_figure(r, heat_figure(), "x", "");
}

static void test_misuse(void **state)
{
	(void)state;
	misused(bad_name, "\"a-b\"");
	misused(twice, "already");
	misused(bad_format, "format");
	misused(bad_kind, "kind");
	misused(torn_row, "within a row");
	misused(no_columns, "kind");
	misused(interval_clash, "twice");
	misused(other_clash, "twice");
	misused(no_figure, "no figure");
	misused(two_figures, "already");
}

/* ---- the forms ---- */

/* Lines of a cell's source or output, joined. */
static char *joined(const json_t *lines)
{
	char *text = sx_strdup(json_is_string(lines) ? json_string_value(lines) : "");
	size_t i;
	json_t *line;
	json_array_foreach(lines, i, line)
	{
		char *more = sx_format("%s%s", text, json_string_value(line));
		free(text);
		text = more;
	}
	return text;
}

static const json_t *cell_of(const json_t *nb, const char *id)
{
	size_t i;
	json_t *cell;
	json_array_foreach(json_object_get(nb, "cells"), i,
			   cell) if (strcmp(json_string_value(json_object_get(cell, "id")), id) ==
				     0) return cell;
	fail_msg("no cell %s", id);
	return NULL;
}

static char *source_of(const json_t *nb, const char *id)
{
	return joined(json_object_get(cell_of(nb, id), "source"));
}

/* base64 of the whole file, whose bytes check_notebook.sh compares. */
static void check_image(const json_t *nb)
{
	const json_t *out = json_array_get(json_object_get(cell_of(nb, "fig-loss"), "outputs"), 0);
	const char *kind, *data, *alt;
	int width;
	size_t size;
	assert_int_equal(json_unpack((json_t *)out, "{s:s, s:{s:s}, s:{s:{s:s, s:i}}}",
				     "output_type", &kind, "data", "image/png", &data, "metadata",
				     "image/png", "alt", &alt, "width", &width),
			 0);
	assert_string_equal(kind, "execute_result");
	assert_int_equal(width, 748); /* 1.6 x 6.5 x 72 */
	free(slurp(part("nb", "figures/loss.png"), &size));
	assert_int_equal(strlen(data), (size + 2) / 3 * 4 + 1);
	assert_true(strncmp(data, "iVBORw0KGgo", 11) == 0);
	char *source = source_of(nb, "fig-loss");
	assert_string_equal(source, "#| label: fig-loss\nImage(\"figures/loss.png\", width=748, "
				    "alt=\"Loss of two runs: \\\"RoPE\\\" falls & stays <low>, "
				    "\xCE\xB1 = 1.\")");
	free(source);
}

static void test_notebook(void **state)
{
	(void)state;
	static const char *const order[] = {"title",
					    "provenance",
					    "parameters",
					    "functions",
					    "section-loss-1",
					    "fig-loss",
					    "about-fig-loss",
					    "carry-on-loss",
					    "about-table-losses",
					    "table-losses",
					    "text-3",
					    "section-loss-1-2",
					    "fig-maps",
					    "about-fig-maps",
					    "carry-on-maps",
					    "about-table-changes",
					    "table-changes",
					    "where-to-go-next"};
	save("nb");
	json_t *nb = load("nb", "report.ipynb"), *cells = json_object_get(nb, "cells");
	assert_int_equal(json_integer_value(json_object_get(nb, "nbformat_minor")), 5);
	assert_int_equal(json_array_size(cells), sizeof order / sizeof *order);
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		const char *id = json_string_value(json_object_get(json_array_get(cells, i), "id"));
		assert_string_equal(id, order[i]);
	}
	char *title = source_of(nb, "title"), *section = source_of(nb, "section-loss-1");
	assert_string_equal(
		title,
		"# What &lt;becomes&gt; of position &amp; why: \xCE\xB3\n\n"
		"The loss rises by *0.21 nats*; `A_c < 0.1` in 2\\*3\\*4 heads &amp; \\$5.\n\n"
		"\\- not a list, \\*not closed, a\\_b");
	assert_string_equal(section, "## Loss &lt;1&gt;\n\n1\\. Not a list.\n\n"
				     "\\[no\\](link) \xEF\xBF\xBD( invalid");
	free(title);
	free(section);
	const json_t *out =
		json_array_get(json_object_get(cell_of(nb, "table-losses"), "outputs"), 0);
	char *text = joined(json_object_get(out, "text"));
	/* clang-format off */
	assert_string_equal(text,
		"Run            Updates       Before (nat)  Change (%)        A_c\n"
		"-------------  -------  -----------------  ----------  ---------\n"
		"RoPE \xCE\xB8, \"one\"      963  0.67 [0.60, 0.70]        -3.1   1.00e-12\n"
		"<b>|NoPE|_&          -                  -        +inf          -\n"
		"                 12345   10.50 [-, 11.00]        +0.0  -1.25e+01\n");
	/* clang-format on */
	check_image(nb);
	free(text);
	json_decref(nb);
}

static void test_page(void **state)
{
	(void)state;
	save("page");
	size_t size;
	char *html = slurp(part("page", "report.html"), &size);
	assert_true(size < 5 << 20);
	static const char *const there[] = {
		"<title>What &lt;becomes&gt; of position &amp; why: \xCE\xB3</title>",
		"The loss rises by <em>0.21 nats</em>; <code>A_c &lt; 0.1</code> in 2*3*4 heads "
		"&amp; $5.",
		"<p>- not a list, *not closed, a_b</p>",
		"<h2 id=\"section-1-loss-1\">Loss &lt;1&gt;</h2>",
		"<h2 id=\"section-2-loss-1\">",
		"src=\"data:image/svg+xml;base64,",
		"alt=\"Loss of two runs: &quot;RoPE&quot; falls &amp; stays &lt;low&gt;, \xCE\xB1 "
		"= 1.\"",
		"<th scope=\"row\">&lt;b&gt;|NoPE|_&amp; </th>",
		"<td class=\"n value\">0.67</td><td class=\"end soft\">[0.60, 0.70]</td>",
		"<td class=\"n value\">\xE2\x80\x93</td><td class=\"end soft\"></td>",
		"<td class=\"n value\">10.50</td><td class=\"end soft\">[-, 11.00]</td>",
		"<td class=\"n\">+\xE2\x88\x9E</td>",
		"<th scope=\"col\" class=\"n\" title=\"change of the loss\">Change (%)</th>",
		"prefers-color-scheme:dark",
		"default-src 'none'; img-src data:; style-src 'unsafe-inline'",
	};
	for (size_t i = 0; i < sizeof there / sizeof *there; i++)
		if (!strstr(html, there[i])) fail_msg("not in the page: %s", there[i]);
	static const char *const absent[] = {"<script", "http://", "https://", "src=\"figures",
					     "url("};
	for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
		if (strstr(html, absent[i])) fail_msg("in the page: %s", absent[i]);
	free(html);
}

static void test_tables(void **state)
{
	(void)state;
	save("tab");
	char *csv = slurp(part("tab", "tables/losses.csv"), NULL);
	char *tex = slurp(part("tab", "tables/losses.tex"), NULL);
	char *none = slurp(part("tab", "tables/changes.csv"), NULL);
	assert_string_equal(
		csv, "run,updates,before,before_lo,before_hi,change,ac\n"
		     "\"RoPE \xCE\xB8, \"\"one\"\"\",963,0.66666666666666663,0.59999999999999998,"
		     "0.69999999999999996,-3.1400000000000001,9.9999999999999998e-13\n"
		     "<b>|NoPE|_& ,,,,,inf,\n"
		     ",12345,10.5,,11,0,-12.5\n");
	assert_string_equal(
		tex,
		"% Loss & interval, 95 %.\n% \\usepackage{booktabs,siunitx}\n"
		"\\begin{tabular}{l S[table-format=5.0] S[table-format=2.2] @{\\,} l "
		"S[table-format=+1.1] S}\n\\toprule\n"
		"Run & {Updates} & \\multicolumn{2}{c}{Before (nat)} & {Change (\\%)} & {A\\_c} "
		"\\\\\n"
		"\\midrule\n"
		"RoPE $\\theta$, \"one\" & 963 & 0.67 & {$[0.60,\\, 0.70]$} & -3.1 & 1.00e-12 "
		"\\\\\n"
		"\\textless{}b\\textgreater{}|NoPE|\\_\\&  & {--} & {--} &  & {$\\infty$} & {--} "
		"\\\\\n"
		" & 12345 & 10.50 & {$[-,\\, 11.00]$} & +0.0 & -1.25e+01 \\\\\n"
		"\\bottomrule\n\\end{tabular}\n");
	assert_string_equal(none, "head,share,share_lo,share_hi\n");
	free(csv);
	free(tex);
	free(none);
}

/* ---- analysis.h5 ---- */

static void check_attr(hid_t file, const char *where, const char *name, const char *want)
{
	char *got = NULL;
	hid_t attr = H5Aopen_by_name(file, where, name, H5P_DEFAULT, H5P_DEFAULT);
	if (attr < 0) fail_msg("%s has no %s", where, name);
	hid_t type = H5Aget_type(attr), space = H5Aget_space(attr);
	assert_int_equal(H5Tget_cset(type), H5T_CSET_UTF8);
	assert_true(H5Tis_variable_str(type) > 0);
	assert_true(H5Sget_simple_extent_npoints(space) >= 1);
	char *many[8] = {NULL};
	assert_true(H5Aread(attr, type, many) >= 0);
	got = many[0];
	assert_string_equal(got, want);
	H5Dvlen_reclaim(type, space, H5P_DEFAULT, many);
	H5Sclose(space);
	H5Tclose(type);
	H5Aclose(attr);
}

/* A column of n doubles with its axis, checksummed. */
static void check_column(hid_t file, const char *path, const double *want, int64_t n)
{
	hid_t set = H5Dopen2(file, path, H5P_DEFAULT);
	if (set < 0) fail_msg("no %s", path);
	hid_t space = H5Dget_space(set), plist = H5Dget_create_plist(set);
	assert_int_equal(H5Sget_simple_extent_npoints(space), n);
	double *got = calloc((size_t)n + 1, sizeof *got);
	assert_true(H5Dread(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, got) >= 0);
	for (int64_t i = 0; i < n; i++)
		if (!(got[i] == want[i] || (isnan(got[i]) && isnan(want[i]))))
			fail_msg("%s[%d] = %.17g, wanted %.17g", path, (int)i, got[i], want[i]);
	assert_int_equal(H5DSget_num_scales(set, 0), 1);
	bool summed = false;
	for (int i = 0; i < H5Pget_nfilters(plist); i++) {
		size_t none = 0;
		summed |= H5Pget_filter2(plist, (unsigned)i, NULL, &none, NULL, 0, NULL, NULL) ==
			  H5Z_FILTER_FLETCHER32;
	}
	assert_true(summed);
	free(got);
	H5Pclose(plist);
	H5Sclose(space);
	H5Dclose(set);
}

static void test_results(void **state)
{
	(void)state;
	static const double before[] = {2.0 / 3, NOT_A_NUMBER, 10.5},
			    lo[] = {0.6, NOT_A_NUMBER, NOT_A_NUMBER};
	static const double change[] = {-3.14, (double)INFINITY, 0}, updates[] = {963, -1, 12345};
	save("h5");
	hid_t file = H5Fopen(part("h5", "analysis.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
	assert_true(file >= 0);
	check_attr(file, "/", "schema", "sextant-analysis");
	check_attr(file, "/", "schema_version", "1.0");
	check_attr(file, "/", "inputs", in_dir("input.h5"));
	check_attr(file, "/", "parameters", "{\"drop_at\":\"963\",\"seeds\":\"1, 2\"}");
	check_attr(file, "/loss", "columns", "run");
	check_attr(file, "/loss/before", "units", "nat");
	check_attr(file, "/loss/before", "format", "%.2f");
	check_attr(file, "/loss/before", "heading", "Before (nat)");
	check_attr(file, "/loss/before", "ancillary_variables", "before_lo before_hi");
	check_column(file, "/loss/before", before, 3);
	check_column(file, "/loss/before_lo", lo, 3);
	check_column(file, "/loss/change", change, 3);
	check_column(file, "/loss/updates", updates, 3);
	check_column(file, "/changes/share", NULL, 0);
	hid_t set = H5Dopen2(file, "/loss/run", H5P_DEFAULT), type = H5Dget_type(set);
	char *text[3];
	assert_true(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) >= 0);
	assert_string_equal(text[0], "RoPE \xCE\xB8, \"one\"");
	assert_string_equal(text[2], "");
	hid_t space = H5Dget_space(set);
	H5Dvlen_reclaim(type, space, H5P_DEFAULT, text);
	H5Sclose(space);
	H5Tclose(type);
	H5Dclose(set);

	/* per panel: a band (3), two lines, points (3 each), a drop, a note */
	enum { PER = 14 };
	double x[2 * PER], y[2 * PER], item[2 * PER];
	static const int item_rows[] = {3, 3, 3, 3, 1, 1};
	for (int p = 0, i = 0; p < 2; p++)
		for (int k = 0; k < 6; k++)
			for (int j = 0; j < item_rows[k]; j++, i++) {
				x[i] = item_rows[k] == 1 ? 10 : xs[j];
				y[i] = k == 0 || k == 4 ? NOT_A_NUMBER
				       : k == 2         ? zs[j]
				       : k == 5         ? 0.3
							: ys[j];
				item[i] = p * 6 + k;
			}
	check_column(file, "/figures/loss/x", x, 2 * PER);
	check_column(file, "/figures/loss/y", y, 2 * PER);
	check_column(file, "/figures/loss/item", item, 2 * PER);
	check_attr(file, "/figures/loss", "x_scales", "log");
	check_attr(file, "/figures/loss", "y_scales", "linear");
	check_attr(file, "/figures/loss", "x_labels", "Updates");
	check_attr(file, "/figures/loss", "panels", "a");
	check_attr(file, "/figures/loss", "y_labels", "A$^{c}$$_{\xE2\x84\x93}$ < 1");
	check_attr(file, "/figures/loss/series", "labels", "RoPE");
	static const double value[] = {0.5, 0.25, 1}, column[] = {0, 0, 1}, row[] = {0, 1, 1};
	check_column(file, "/figures/maps/value", value, 3);
	check_column(file, "/figures/maps/x", column, 3);
	check_column(file, "/figures/maps/y", row, 3);
	check_attr(file, "/figures/maps", "panels", "L0 H0");
	assert_true(H5Fclose(file) >= 0);
}

/* What is lent to a script: the example in a folder of its choice. */
static int save_example(const char *folder)
{
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	char *input = sx_format("%s.input", folder);
	put(input, "what was read");
	sx_report *r = example(input);
	sx_status st = sx_report_save(r, &ctx, folder);
	if (st != SX_OK) fprintf(stderr, "%s\n", ctx.message);
	sx_report_free(r);
	free(input);
	return st != SX_OK;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manifest_and_bytes),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_notebook),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_results),
	};
	if (argc == 2) return save_example(argv[1]);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
