// All memory of a receiver: one block, sized by a dry run of the same code that lays it out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace ran6g {

// Hands out zeroed rows aligned to 64 bytes. While `base` is null it only counts, and hands out null.
class Arena {
  public:
    template <class T> T *array(size_t count) {
        size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
        T *out = base_ ? reinterpret_cast<T *>(base_ + used_) : nullptr;
        used_ += bytes;
        return out;
    }
    bool counting() const { return base_ == nullptr; }
    size_t used() const { return used_; }
    // From counting to handing out. False when there is no memory.
    bool allocate() {
        size_t bytes = used_ + 64;
        base_ = static_cast<char *>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
        used_ = 0;
        if (!base_) return false;
        std::memset(base_, 0, bytes);
        return true;
    }
    void release() {
        std::free(base_);
        base_ = nullptr;
        used_ = 0;
    }

  private:
    char *base_ = nullptr;
    size_t used_ = 0;
};

}  // namespace ran6g
