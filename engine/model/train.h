/* Training: a step, the drop of the positional embedding, saving and resuming. What a step does
 * depends on the weights, the optimiser's state, the step number and the batch alone. */
#ifndef SX_ENGINE_MODEL_TRAIN_H
#define SX_ENGINE_MODEL_TRAIN_H

#include "engine/model/model.h"
#include "engine/model/optim.h"

typedef enum { SX_LR_COSINE, SX_LR_LINEAR, SX_LR_CONSTANT } sx_lr_schedule;
typedef enum { SX_PHASE_PRETRAIN, SX_PHASE_RECALIBRATION } sx_phase;
const char *sx_phase_name(sx_phase p); /* "pretrain", "recalibration" */

typedef struct {
	int64_t steps;      /* horizon of the schedule before the drop                   */
	int64_t batch;      /* sequences of one update                                   */
	int64_t accumulate; /* equal parts of it, computed one after the other           */
	double lr, min_lr;
	int64_t warmup; /* updates of linear warm-up                                 */
	sx_lr_schedule schedule;
	sx_adamw_opts adamw;
	double clip;     /* largest norm of the gradient; 0 = none                    */
	int64_t drop_at; /* the drop comes after this many updates; -1 = never        */
	bool drop_keeps; /* matched-token control: everything but the positions goes  */
	int64_t drop_steps, drop_warmup;
	double drop_lr, drop_min_lr;
	sx_qk_norm drop_qk_norm; /* added at the drop, gains 1                                */
	bool drop_fresh;         /* Adam's state starts anew at the drop                      */
} sx_train_opts;

/* Rate of update `update` (from 1), and how many updates there are in all. */
double sx_train_lr(const sx_train_opts *o, int64_t update);
int64_t sx_train_updates(const sx_train_opts *o);

typedef struct {
	sx_train_opts opts;
	sx_model *model; /* owned */
	sx_adamw *adam;  /* owned */
	sx_params grad;
	sx_work *work; /* owned; of one part of the batch */
	int64_t step;  /* updates applied */
	sx_phase phase;
} sx_trainer;

typedef struct {
	double loss, lr, grad_norm; /* grad_norm before clipping */
} sx_step_result;

/* Takes the model over, also when it fails. T: length of a window. */
sx_status sx_trainer_new(sx_trainer **out, sx_ctx *ctx, sx_model *model, const sx_train_opts *o,
			 int64_t T) SX_NODISCARD;
void sx_trainer_free(sx_trainer *t);

/* Update step + 1 on the request's tokens and targets, (batch, T) whatever its B says. Probes see the
 * forward pass; with accumulate > 1 sequences count from 0 in each part. part_end, if not NULL, is called
 * after each part's forward pass. SX_EDATA when the loss is not finite: the weights are then as before. */
typedef sx_status sx_train_part_fn(void *self, int64_t part, const sx_work *work);
sx_status sx_trainer_step(sx_ctx *ctx, sx_trainer *t, const sx_request *r,
			  sx_train_part_fn *part_end, void *self,
			  sx_step_result *result) SX_NODISCARD;

/* The drop, due when step == drop_at in phase pretrain: gamma := 0 in every layer (unless the
 * positions are kept), QK-norm gains of 1 where one is added, Adam's state kept or fresh; the phase
 * is recalibration from here. */
bool sx_trainer_drop_due(const sx_trainer *t);
sx_status sx_trainer_drop(sx_ctx *ctx, sx_trainer *t) SX_NODISCARD;

/* Writes a checkpoint folder: config.json and model.safetensors (Hugging Face layout),
 * optimizer.safetensors, state.json. It is made under another name and renamed when whole. */
sx_status sx_trainer_save(sx_ctx *ctx, const sx_trainer *t, const char *dir) SX_NODISCARD;
/* Continues from one: the trainer's model, moments, step and phase become the checkpoint's. */
sx_status sx_trainer_load(sx_ctx *ctx, sx_trainer *t, const char *dir) SX_NODISCARD;

#endif
