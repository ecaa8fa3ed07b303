/* A stand-in for NVIDIA's libnvidia-ml.so.1, since no GPU can be had where these tests run.
 * It has the library's own interface (nvml.h) for what is asked of it, and answers what the
 * environment says, so that the real pynvml runs through the real ABI. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, IS_LOST = 15 };

typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci;
typedef struct { unsigned long long total, free, used; } memory;

static long number(const char *name, long otherwise) {
    const char *value = getenv(name);
    return value ? atol(value) : otherwise;
}

/* Unset is "not supported", as it is on GPUs that lack a feature. */
static int answer(const char *name, unsigned *result) {
    if (!getenv(name)) return NOT_SUPPORTED;
    *result = (unsigned)number(name, 0);
    return SUCCESS;
}

int nvmlInitWithFlags(unsigned flags) {
    if (getenv("STUB_HANG")) for (;;) pause();
    return (int)number("STUB_INIT", SUCCESS);
}
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return "a code that pynvml does not know"; }

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    const char *value = getenv("STUB_DRIVER");
    snprintf(version, length, "%s", value ? value : "535.129.03");
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = (unsigned)number("STUB_COUNT", 1);
    return SUCCESS;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    if (index == (unsigned)number("STUB_LOST", -1)) return IS_LOST;
    *device = (void *)(size_t)(index + 1);
    return SUCCESS;
}
int nvmlDeviceGetName(void *device, char *name, unsigned length) {
    const char *value = getenv("STUB_NAME");
    snprintf(name, length, "%s", value ? value : "NVIDIA A100-PCIE-40GB");
    return SUCCESS;
}
int nvmlDeviceGetBrand(void *device, unsigned *brand) { return answer("STUB_BRAND", brand); }
int nvmlDeviceGetPciInfo_v3(void *device, pci *info) {
    memset(info, 0, sizeof *info);
    snprintf(info->bus_id, sizeof info->bus_id, "00000000:%02X:00.0",
             0x3a + (unsigned)(size_t)device);
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(void *device, memory *info) {
    const char *value = getenv("STUB_MEMORY");
    memset(info, 0, sizeof *info);
    info->total = value ? strtoull(value, NULL, 10) : 42949672960ULL;
    return SUCCESS;
}
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    const char *value = getenv("STUB_CAPABILITY");
    return sscanf(value ? value : "8.0", "%d.%d", major, minor) == 2 ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetTotalEccErrors(void *device, unsigned type, unsigned counter,
                                unsigned long long *count) {
    unsigned errors;
    if (answer("STUB_ECC", &errors)) return NOT_SUPPORTED;
    *count = type == 1 && counter == 0 ? errors : 0; /* uncorrected, volatile */
    return SUCCESS;
}
int nvmlDeviceGetRemappedRows(void *device, unsigned *corrected, unsigned *uncorrected,
                              unsigned *pending, unsigned *failed) {
    *corrected = *uncorrected = *pending = *failed = 0;
    if (answer("STUB_PENDING", pending) && answer("STUB_FAILED", failed)) return NOT_SUPPORTED;
    answer("STUB_FAILED", failed);
    return SUCCESS;
}
int nvmlDeviceGetRetiredPagesPendingStatus(void *device, unsigned *pending) {
    return answer("STUB_RETIRING", pending);
}
int nvmlDeviceGetPersistenceMode(void *device, unsigned *mode) {
    return answer("STUB_PERSISTENCE", mode);
}
int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
    *pending = 0;
    return answer("STUB_MIG", current);
}
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count) {
    *count = 7;
    return SUCCESS;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **instance) {
    *instance = (void *)(size_t)(100 + index);
    return index < (unsigned)number("STUB_INSTANCES", 0) ? SUCCESS : NOT_FOUND;
}
int nvmlDeviceGetTemperature(void *device, unsigned sensor, unsigned *degrees) {
    return answer("STUB_TEMPERATURE", degrees);
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *reasons) {
    *reasons = (unsigned long long)number("STUB_SLOWED", 0);
    return SUCCESS;
}
