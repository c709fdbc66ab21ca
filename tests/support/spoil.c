/* Spoils numbers of a run file in place, for tests of what is said of them:
 *
 *     spoil FILE.h5 nan|half|inf GROUP..
 *
 * every value of the groups' (or datasets') floating datasets, or every second, becomes NaN, or every
 * third infinite, by turns with both signs. Axes stay. */
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	char **group;
	int n, spoiled;
	const char *how;
} work;

static int is_meant(const work *w, const char *name)
{
	for (int i = 0; i < w->n; i++) {
		const char *group = w->group[i] + (w->group[i][0] == '/');
		size_t n = strlen(group);
		if (strncmp(name, group, n) == 0 && (!name[n] || name[n] == '/' || !n)) return 1;
	}
	return 0;
}

static double spoiled(const work *w, hssize_t i, double v)
{
	if (strcmp(w->how, "inf") == 0)
		return i % 3 ? v : i % 2 ? -(double)INFINITY : (double)INFINITY;
	return strcmp(w->how, "half") == 0 && i % 2 ? v : (double)NAN;
}

static herr_t visit(hid_t at, const char *name, const H5O_info_t *info, void *self)
{
	work *w = self;
	if (info->type != H5O_TYPE_DATASET || !is_meant(w, name)) return 0;
	hid_t d = H5Dopen2(at, name, H5P_DEFAULT), type = H5Dget_type(d), space = H5Dget_space(d);
	hssize_t n = H5Sget_simple_extent_npoints(space);
	herr_t st = 0;
	if (H5Tget_class(type) == H5T_FLOAT && H5Aexists(d, "CLASS") <= 0) {
		double *v = calloc((size_t)n + 1, sizeof *v);
		st = v ? H5Dread(d, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v) : -1;
		for (hssize_t i = 0; v && i < n; i++) v[i] = spoiled(w, i, v[i]);
		if (st >= 0) st = H5Dwrite(d, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
		w->spoiled++;
		free(v);
	}
	H5Sclose(space);
	H5Tclose(type);
	H5Dclose(d);
	return st;
}

int main(int argc, char **argv)
{
	if (argc < 4) return 64;
	work w = {.group = argv + 3, .n = argc - 3, .how = argv[2]};
	hid_t f = H5Fopen(argv[1], H5F_ACC_RDWR, H5P_DEFAULT);
	if (f < 0 || H5Ovisit(f, H5_INDEX_NAME, H5_ITER_INC, visit, &w) < 0) return 65;
	H5Fclose(f);
	printf("%d datasets\n", w.spoiled);
	return w.spoiled ? 0 : 66;
}
