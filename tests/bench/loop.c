/* The limit: start N processes with posix_spawn, P at a time, wait for each, and do nothing else.
   loop N P PROGRAM [ARGUMENT ...] */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    long left = atol(argv[1]), at_a_time = atol(argv[2]), running = 0;
    while (left || running) {
        pid_t pid;
        if (left && running < at_a_time) {
            if (posix_spawn(&pid, argv[3], NULL, NULL, argv + 3, environ)) {
                perror(argv[3]);
                return 1;
            }
            left--, running++;
            continue;
        }
        if (wait(NULL) > 0)
            running--;
    }
    return 0;
}
