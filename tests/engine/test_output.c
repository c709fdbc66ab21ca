/* Files that take their name when they are whole, two of them at a time. */
#include "engine/base.h"
#include "tests/support/check.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/sextant-output-XXXXXX";
static sx_ctx ctx;

static int enter(void **state)
{
	(void)state;
	sx_ctx_init(&ctx);
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state)
{
	(void)state;
	static const char *const left[] = {"a", "b", "to-b", "pipe"};
	for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) unlink(left[i]);
	return chdir("/") == 0 ? rmdir(folder) : -1; /* fails where anything else was left */
}

static void check_text(const char *path, const char *want)
{
	char *text = NULL;
	size_t size = 0;
	assert_int_equal(sx_read_file(&ctx, path, &text, &size), SX_OK);
	assert_string_equal(text, want);
	free(text);
}

static void a_reader_sees_the_old_or_the_new(void **state)
{
	(void)state;
	sx_output o;
	assert_int_equal(sx_write_file(&ctx, "a", "old", 3), SX_OK);
	assert_int_equal(sx_output_begin(&o, &ctx, "a"), SX_OK);
	assert_true(sx_output_put(&o, "new", 3));
	check_text("a", "old");
	assert_int_equal(sx_output_end(&o, &ctx, true), SX_OK);
	check_text("a", "new");
	assert_int_equal(sx_output_begin(&o, &ctx, "a"), SX_OK);
	assert_int_equal(sx_output_end(&o, &ctx, false), SX_EIO);
	check_text("a", "new");
	assert_int_equal(sx_output_begin(&o, &ctx, "a"), SX_OK);
	sx_output_drop(&o);
	sx_output_drop(&o);
	assert_int_equal(access("a.tmp", F_OK), -1);
}

/* Where no lock tells them of each other, nobody names what another one is still writing. */
static void two_without_locks(void **state)
{
	(void)state;
	sx_output first, second;
	assert_int_equal(sx_output_begin(&first, &ctx, "a"), SX_OK);
	assert_int_equal(sx_output_begin(&second, &ctx, "a"), SX_OK);
	assert_true(sx_output_put(&second, "ha", 2));
	assert_true(sx_output_put(&first, "first", 5));
	assert_int_equal(sx_output_end(&first, &ctx, true), SX_ECREATE);
	assert_non_null(strstr(ctx.message, "another process"));
	assert_true(sx_output_put(&second, "lf", 2));
	assert_int_equal(sx_output_end(&second, &ctx, true), SX_OK);
	check_text("a", "half");
}

static void two_with_locks(void **state)
{
	(void)state;
	sx_output first, second;
	assert_int_equal(sx_output_begin(&first, &ctx, "a"), SX_OK);
	sx_output_lock(&first);
	assert_int_equal(sx_output_begin(&second, &ctx, "a"), SX_ECREATE);
	assert_non_null(strstr(ctx.message, "another process is writing a"));
	assert_true(sx_output_put(&first, "whole", 5));
	assert_int_equal(sx_output_end(&first, &ctx, true), SX_OK);
	check_text("a", "whole");
}

static void links_are_followed(void **state)
{
	(void)state;
	struct stat sb;
	sx_output o;
	assert_int_equal(symlink("b", "to-b"), 0);
	for (int i = 0; i < 2; i++) { /* to nothing, to a file */
		assert_int_equal(sx_write_file(&ctx, "to-b", "text", 4), SX_OK);
		assert_int_equal(lstat("to-b", &sb), 0);
		assert_true(S_ISLNK(sb.st_mode));
		check_text("b", "text");
	}
	assert_int_equal(mkfifo("pipe", 0600), 0);
	static const char *const refused[] = {
		"pipe",  "/dev/null", "/dev/stdout", "/proc/self/fd/1", ".",
		"none/", "",          "none/there"};
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
		assert_int_equal(sx_output_begin(&o, &ctx, refused[i]), SX_ECREATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_sees_the_old_or_the_new),
		cmocka_unit_test(two_without_locks),
		cmocka_unit_test(two_with_locks),
		cmocka_unit_test(links_are_followed),
	};
	return cmocka_run_group_tests(tests, enter, leave);
}
