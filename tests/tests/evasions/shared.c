/* An interpreter whose code is in a library, as in Docker's official images of Python. */
int Py_BytesMain(int count, char **args);

int main(int count, char **args) { return Py_BytesMain(count, args); }
