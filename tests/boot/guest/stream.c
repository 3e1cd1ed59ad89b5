// SPDX-License-Identifier: BSD-2-Clause
// The guest's end of a measured TCP connection; scripts/bench-bypass holds the other.
//     stream send ADDRESS PORT MILLISECONDS   sends for so long, until the other end confirms
//     stream receive ADDRESS PORT             receives until the other end stops
// Prints the bytes and the nanoseconds. What is sent is a repeated pattern, and what is received is
// compared with it.

#include <arpa/inet.h>
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { block = 65536 };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

int main(int count, char **words)
{
    int sending = count == 5 && strcmp(words[1], "send") == 0;
    if (!sending && !(count == 4 && strcmp(words[1], "receive") == 0)) {
        fprintf(stderr, "usage: stream send ADDRESS PORT MILLISECONDS | receive ADDRESS PORT\n");
        return 1;
    }
    // Twice, so that a block can be compared from any place of the pattern on.
    static unsigned char pattern[2 * block];
    for (int i = 0; i < 2 * block; ++i)
        pattern[i] = (unsigned char)(i % block * 7 + (i % block >> 8));

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[3]))};
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (!inet_aton(words[2], &address.sin_addr) ||
        connect(connection, (struct sockaddr *)&address, sizeof address))
        fail("connect");

    uint64_t begin = now(), bytes = 0, confirmed;
    if (sending) {
        for (uint64_t end = begin + 1000000 * strtoull(words[4], NULL, 10); now() < end;) {
            ssize_t sent = send(connection, pattern + bytes % block, block, 0);
            if (sent < 0)
                fail("send");
            bytes += (uint64_t)sent;
        }
        shutdown(connection, SHUT_WR);
        if (recv(connection, &confirmed, sizeof confirmed, MSG_WAITALL) != sizeof confirmed)
            fail("confirmation");
        if (be64toh(confirmed) != bytes) {
            fprintf(stderr, "%llu bytes sent, %llu received\n", (unsigned long long)bytes,
                    (unsigned long long)be64toh(confirmed));
            return 1;
        }
    } else {
        static unsigned char buffer[block];
        ssize_t received;
        while ((received = recv(connection, buffer, block, 0)) > 0) {
            if (memcmp(buffer, pattern + bytes % block, (size_t)received)) {
                fprintf(stderr, "wrong data after byte %llu\n", (unsigned long long)bytes);
                return 1;
            }
            bytes += (uint64_t)received;
        }
        if (received < 0)
            fail("recv");
    }
    printf("@stream bytes=%llu ns=%llu\n", (unsigned long long)bytes, (unsigned long long)(now() - begin));
    return 0;
}
