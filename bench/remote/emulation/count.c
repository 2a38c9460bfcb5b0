/* Counts the instructions that a program executes under QEMU user emulation (TCG plug-in API, version 1: QEMU 4.2 to 8).
 *
 * The program marks a phase by closing a file that cannot be open: close(MARK + n), which fails harmlessly. At each mark
 * and at exit one line is written: the mark (-1 at exit), all instructions so far, and the dot products among them (SDOT
 * and UDOT of AArch64, which fast int8 kernels are made of). The counters are added to inline, without a callback, by
 * one thread: a program that computes in several would lose counts.
 *
 * cc -O2 -fPIC -shared -o count.so count.c; qemu-aarch64 -plugin count.so,out=FILE PROGRAM
 * The declarations are qemu-plugin.h's, which Debian's qemu-user does not bring. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
enum { MARK = 900000000, MARKS = 100000, INLINE_ADD = 0 };

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
  const char *target_name;
  struct { int min, cur; } version;
  bool system_emulation;
  union { struct { int smp_vcpus, max_vcpus; } system; };
} qemu_info_t;

typedef void (*translated_cb)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*exit_cb)(qemu_plugin_id_t, void *);
typedef void (*syscall_cb)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                           uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_cb);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, syscall_cb);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, exit_cb, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int op, void *, uint64_t);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int op, void *, uint64_t);

EXPORT int qemu_plugin_version = 1;

static uint64_t instructions, dot_products;
static FILE *out;
static bool aarch64;
static int64_t close_number;

static bool is_dot_product(uint32_t word) {
  return (word & 0x9FE0FC00u) == 0x0E809400u    /* SDOT, UDOT (vector) */
         || (word & 0x9FC0F400u) == 0x0F80E000u; /* SDOT, UDOT (by element) */
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  size_t count = qemu_plugin_tb_n_insns(block);
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD, &instructions, count);
  for (size_t i = 0; aarch64 && i < count; i++) {
    struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
    uint32_t word;
    if (qemu_plugin_insn_size(instruction) != sizeof word) continue;
    memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
    if (is_dot_product(word)) qemu_plugin_register_vcpu_insn_exec_inline(instruction, INLINE_ADD, &dot_products, 1);
  }
}

static void write_line(long mark) {
  fprintf(out, "%ld %llu %llu\n", mark, (unsigned long long)instructions, (unsigned long long)dot_products);
  fflush(out);
}

static void called(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t file, uint64_t b, uint64_t c, uint64_t d,
                   uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  uint32_t mark = (uint32_t)file - MARK;
  (void)id, (void)cpu, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
  if (number == close_number && (uint32_t)file >= MARK && mark < MARKS) write_line(mark);
}

static void finished(qemu_plugin_id_t id, void *data) {
  (void)id, (void)data;
  write_line(-1);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  for (int i = 0; i < argc; i++)
    if (!strncmp(argv[i], "out=", 4)) out = fopen(argv[i] + 4, "w");
  if (!out) {
    fputs("count.so: give out=FILE, a file that can be written\n", stderr);
    return -1;
  }
  aarch64 = !strcmp(info->target_name, "aarch64");
  close_number = aarch64 ? 57 : 6; /* of asm-generic/unistd.h; of 32-bit ARM */
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  qemu_plugin_register_atexit_cb(id, finished, NULL);
  return 0;
}
