/* Families of models as they stand in files: one row each, which says how its config.json is read and
 * written and where in its files our parameters lie. To add one: a file family_x.c and a row in
 * family.c. What has no row is refused by name. */
#ifndef SX_ENGINE_FILES_FAMILY_H
#define SX_ENGINE_FILES_FAMILY_H

#include "engine/base.h"
#include "engine/spec.h"

/* How a tensor of the file holds a parameter. Rows of a vector are its elements. */
typedef enum {
	SX_PLACE_WHOLE,      /* as it is: (out,in), nothing else in it                          */
	SX_PLACE_TRANSPOSED, /* (in,out)                                                        */
	SX_PLACE_HEADS       /* one of `parts` parameters of equal shape, D rows of each in turn:
	                        head 0 of part 0, head 0 of part 1, .., head 1 of part 0        */
} sx_place_form;

typedef struct {
	const char *field;  /* the parameter, as in SX_PARAMS (model.h)                         */
	const char *tensor; /* name in the file; %d = the layer                                 */
	sx_place_form form;
	int part, parts; /* of SX_PLACE_HEADS                                               */
} sx_tensor_place;

struct json_t;       /* of Jansson */
struct sx_hf_reader; /* hf_json.h */

typedef struct sx_model_family {
	const char *model_type, *architecture; /* in config.json                               */
	/* Everything from the configuration into s, which holds sx_spec_default. SX_EDATA names the
	 * key. */
	sx_status (*read)(const struct sx_hf_reader *r, const struct json_t *root, sx_spec *s);
	/* Whether what write makes of this spec is read as the very same model. NULL, like write, in
	 * a family that is only read. */
	bool (*says)(const sx_spec *s);
	/* Puts all keys but model_type and architectures; false where memory is out or a number is
	 * not finite. */
	bool (*write)(struct json_t *root, const sx_spec *s);
	const sx_tensor_place *places; /* ends with a NULL field                               */
	/* Ends of names of tensors that are no weights and are passed over; ends with NULL. */
	const char *const *buffers;
	/* Keys of its config.json that read looks at, besides those that all have; ends with NULL. */
	const char *const *keys;
} sx_model_family;

/* The most standard first; ends with NULL. */
extern const sx_model_family *const sx_model_families[];
extern const sx_model_family sx_model_family_llama, sx_model_family_drope, sx_model_family_mistral,
	sx_model_family_qwen2, sx_model_family_qwen3, sx_model_family_smollm3,
	sx_model_family_olmo2, sx_model_family_gpt_neox, sx_model_family_qwen2_drope,
	sx_model_family_sextant;
/* Hugging Face's Llama, whose names others share. */
extern const sx_tensor_place sx_places_llama[];
extern const char *const sx_buffers_llama[];

const sx_model_family *sx_model_family_find(const char *model_type); /* NULL if there is none */
/* The first that says s; the last, sextant, says every spec. For files that others are to read. */
const sx_model_family *sx_model_family_standard(const sx_spec *s);
/* The same but for models that llama, llama_drope and sextant said before there were others: these go on
 * saying them, so that checkpoints keep their bytes. */
const sx_model_family *sx_model_family_of(const sx_spec *s);
/* "llama, llama_drope and sextant": those there are; the caller's to free, NULL when memory is out. */
char *sx_model_family_names(void);

/* Where the parameter of this field lies; NULL if the family has no such thing. */
const sx_tensor_place *sx_tensor_place_find(const sx_model_family *f, const char *field);
enum { SX_TENSOR_NAME = 96 };
/* The tensor's name for one layer. */
void sx_tensor_place_name(char out[SX_TENSOR_NAME], const sx_tensor_place *p, int64_t layer);

#endif
