/* A program that loads a library while it runs: it has it execute the text of a file in which each byte is flipped. */
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **args) {
    static char text[1 << 16];
    FILE *file = count == 3 ? fopen(args[2], "rb") : NULL;
    void *library = count == 3 ? dlopen(args[1], RTLD_NOW | RTLD_GLOBAL) : NULL;
    if (file == NULL || library == NULL) return 2;
    size_t size = fread(text, 1, sizeof text - 1, file);
    for (size_t at = 0; at < size; at++) text[at] ^= 0x5a;
    void (*initialize)(void) = (void (*)(void))dlsym(library, "Py_Initialize");
    int (*run)(const char *) = (int (*)(const char *))dlsym(library, "PyRun_SimpleString");
    int (*finalize)(void) = (int (*)(void))dlsym(library, "Py_FinalizeEx");
    if (!initialize || !run || !finalize) return 2;
    initialize();
    usleep(500000);
    int failed = run(text);
    return finalize() || failed;
}
