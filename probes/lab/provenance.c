#include "probes/lab/provenance.h"

#include "engine/files/hf_config.h"
#include "engine/files/pos_json.h"
#include "engine/op/blas.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <xxhash.h>

#ifndef SX_GIT
#	define SX_GIT "unknown"
#endif

static char *cpu_name(void)
{
	char line[512], *name = NULL;
	FILE *f = fopen("/proc/cpuinfo", "r");
	while (f && !name && fgets(line, sizeof line, f)) {
		char *colon = strchr(line, ':');
		if (strncmp(line, "model name", 10) != 0 || !colon) continue;
		line[strcspn(line, "\n")] = '\0';
		name = sx_strdup(colon + 2);
	}
	if (f) fclose(f);
	return name;
}

const char *sx_git_commit(void)
{
	return SX_GIT;
}

char *sx_environment_json(void)
{
	struct utsname u = {0};
	if (uname(&u) != 0) memset(&u, 0, sizeof u);
	char *cpu = cpu_name();
	json_t *j =
		json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s, s:s, s:i, s:s}", "system", u.sysname,
			  "release", u.release, "architecture", u.machine, "cpu", cpu, "openblas",
			  sx_blas_config(), "openblas_build", sx_blas_build(), "openblas_core",
			  sx_blas_core(), "threads", sx_blas_threads(), "compiler", __VERSION__);
	char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
	json_decref(j);
	free(cpu);
	return text;
}

/* In the order that files have had from the first: what any method has, what belongs to one, and
 * last of all what may be unset. NULL where memory is out or a number is not finite. */
static json_t *pos_object(const sx_pos_opts *o)
{
	json_t *pos = json_object();
	bool ok = true;
	for (int turn = 0; turn < 3; turn++)
		for (const sx_pos_param *p = sx_pos_params; p->name; p++) {
			int own = p->of_method + (strcmp(p->fallback, "nan") == 0);
			if (own == turn && sx_pos_param_said(p, o))
				ok = ok && !json_object_set_new(pos, p->name, sx_pos_to_json(p, o));
		}
	if (ok) return pos;
	json_decref(pos);
	return NULL;
}

char *sx_spec_json(const sx_spec *s)
{
	json_t *j = json_pack(
		"{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:f, s:b, s:b, s:s, s:o*, s:I, s:o}",
		"form", sx_hf_config_form(s), "vocabulary", s->V, "width", s->C, "layers", s->L,
		"heads", s->H, "kv_heads", s->Hkv, "head_dim", s->D, "ffn", s->F, "context",
		(json_int_t)s->T, "norm_eps", s->eps, "tie_embeddings", s->tied, "qkv_bias",
		s->qkv_bias, "qk_norm", sx_qk_norm_name(s->qk_norm), "block",
		sx_block_to_json(&s->block), "parameters", (json_int_t)sx_spec_params(s), "pos",
		pos_object(&s->pos));
	char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
	json_decref(j);
	return text;
}

static void make_id(char out[40], const char *identity)
{
	XXH128_hash_t h = XXH3_128bits(identity, strlen(identity));
	/* version 8 of RFC 9562: the bits are the application's */
	unsigned long long hi = (h.high64 & ~0xf000ULL) | 0x8000ULL;
	unsigned long long lo = (h.low64 & ~(3ULL << 62)) | (2ULL << 62);
	snprintf(out, 40, "%08llx-%04llx-%04llx-%04llx-%012llx", hi >> 32, (hi >> 16) & 0xffff,
		 hi & 0xffff, lo >> 48, lo & 0xffffffffffffULL);
}

sx_status sx_provenance(sx_run *run, sx_ctx *ctx, const char *command, uint64_t seed,
			const char *precision, const char *identity, const sx_spec *spec)
{
	sx_status st = SX_OK;
	char id[40];
	char *environment = sx_environment_json(), *model = sx_spec_json(spec);
	if (!environment || !model) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for a run file's documents");
		goto out;
	}
	make_id(id, identity);
	SX_TRY(sx_run_attr_str(run, "/", "git", SX_GIT));
	SX_TRY(sx_run_attr_int(run, "/", "seed", (int64_t)seed));
	SX_TRY(sx_run_attr_str(run, "/", "precision", precision));
	SX_TRY(sx_run_attr_str(run, "/", "command_line", command));
	SX_TRY(sx_run_attr_str(run, "/", "run_id", id));
	SX_TRY(sx_run_meta(run, SX_RUN_META_ENVIRONMENT_JSON, environment));
	SX_TRY(sx_run_meta(run, SX_RUN_META_MODEL_JSON, model));
out:
	free(environment);
	free(model);
	return st;
}
