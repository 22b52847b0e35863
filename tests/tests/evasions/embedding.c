/* A program that holds Python as a library: it executes the text of a file in which each byte is flipped. */
#include <stdio.h>
#include <unistd.h>

void Py_Initialize(void);
int Py_FinalizeEx(void);
int PyRun_SimpleStringFlags(const char *text, void *flags);

int main(int count, char **args) {
    static char text[1 << 16];
    FILE *file = count == 2 ? fopen(args[1], "rb") : NULL;
    if (file == NULL) return 2;
    size_t size = fread(text, 1, sizeof text - 1, file);
    for (size_t at = 0; at < size; at++) text[at] ^= 0x5a;
    Py_Initialize();
    usleep(500000);
    int failed = PyRun_SimpleStringFlags(text, NULL);
    return Py_FinalizeEx() || failed;
}
