// A hash of texts for tables that nobody else sees. It takes a fraction of the
// time that a hash of ELF's takes, which goes from letter to letter.

#ifndef E64_HASH_H
#define E64_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t text_word(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return word;
}

// Less than eight bytes, as a word of which the rest is 0.
static inline uint64_t text_rest(const char *text, size_t length)
{
    uint64_t word = 0;
    for (size_t i = 0; i < length; i++)
        word |= (uint64_t)(unsigned char)text[i] << 8 * i;
    return word;
}

static inline uint64_t text_fold(uint64_t one, uint64_t other)
{
    unsigned __int128 product = (unsigned __int128)one * other;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// By pairs of words, which do not wait for one another; the last pair is that
// of the last bytes, whatever it has in common with the one before.
static inline uint64_t text_hash(const char *text, size_t length)
{
    const uint64_t odd = 0x9e3779b97f4a7c15, even = 0xe7037ed1a0b428da;
    uint64_t hash = length;
    if (length < 8)
        return text_fold(text_rest(text, length) ^ odd, even + length);
    for (size_t at = 0; at + 16 < length; at += 16)
        hash += text_fold(text_word(text + at) ^ (odd + at),
                          text_word(text + at + 8) ^ even);
    const char *last = length < 16 ? text : text + length - 16;
    return hash + text_fold(text_word(last) ^ odd ^ even,
                            text_word(text + length - 8) ^ even);
}

#endif
