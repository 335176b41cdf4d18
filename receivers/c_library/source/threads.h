// Threads that share the work on a slot. They sleep between slots, are woken when one begins, and stay awake until `rest`
// for one round of items after another, so that waking takes no time of the slot. A round ends when its items are done:
// a thread that is late finds nothing left to do, and holds nobody up.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <atomic>

namespace ran6g {

constexpr int MAX_THREADS = 16;

class Threads {
  public:
    typedef void (*Job)(void *context, int item, int thread);

    // False where a thread cannot be started; those that were are stopped.
    bool start(int num_workers) {
        for (int i = 0; i < num_workers; i++) {
            of_worker_[i] = {this, i + 1};
            if (pthread_create(&workers_[i], nullptr, run, &of_worker_[i]) != 0) {
                stop();
                return false;
            }
            num_workers_ = i + 1;
        }
        return true;
    }

    void stop() {
        pthread_mutex_lock(&mutex_);
        stopping_ = true;
        pthread_cond_broadcast(&woken_);
        pthread_mutex_unlock(&mutex_);
        for (int i = 0; i < num_workers_; i++) pthread_join(workers_[i], nullptr);
        num_workers_ = 0;
    }

    void wake() {
        if (!num_workers_) return;
        pthread_mutex_lock(&mutex_);
        awake_.store(true, std::memory_order_relaxed);
        pthread_cond_broadcast(&woken_);
        pthread_mutex_unlock(&mutex_);
    }

    // After the last round of a slot.
    void rest() { awake_.store(false, std::memory_order_relaxed); }

    // Between `wake` and `rest`: runs job(context, item, thread) for all items, and returns when all are done. Results
    // must not depend on which thread has an item.
    void share(Job job, void *context, int num_items) {
        if (!num_workers_ || num_items < 2) {
            for (int i = 0; i < num_items; i++) job(context, i, 0);
            return;
        }
        job_.store(job, std::memory_order_relaxed);
        context_.store(context, std::memory_order_relaxed);
        num_done_.store(0, std::memory_order_relaxed);
        round_++;
        left_.store(static_cast<uint64_t>(round_) << 32 | static_cast<uint32_t>(num_items), std::memory_order_release);
        work(round_, 0);
        for (int spins = 0; num_done_.load(std::memory_order_acquire) != num_items; spins++) pause(spins);
    }

  private:
    struct Worker {
        Threads *threads;
        int number;
    };

    static void pause(int spins) {
        if (spins < 2000)
#if defined(__x86_64__)
            __builtin_ia32_pause();
#else
            ;
#endif
        else
            sched_yield();
    }

    // Items of a round as long as there are some. The thread that shares takes them from the first on, others from the
    // last: from round to round neighbouring items stay with a core and its caches. An item is taken by exchanging the
    // round and what is left of it at once: who comes when the round is over gets none of the next by mistake, and sees
    // no half of its job.
    void work(uint32_t round, int thread) {
        uint64_t left = left_.load(std::memory_order_acquire);
        while (left >> 32 == round) {
            const int first = static_cast<int>(left >> 16 & 0xffffu), end = static_cast<int>(left & 0xffffu);
            const Job job = job_.load(std::memory_order_relaxed);
            void *context = context_.load(std::memory_order_relaxed);
            if (first >= end) return;
            const uint64_t rest = thread ? left - 1 : left + 0x10000u;
            if (!left_.compare_exchange_weak(left, rest, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
            job(context, thread ? end - 1 : first, thread);
            num_done_.fetch_add(1, std::memory_order_release);
            left = left_.load(std::memory_order_acquire);
        }
    }

    static void *run(void *argument) {
        auto *worker = static_cast<Worker *>(argument);
        Threads &t = *worker->threads;
        for (uint32_t seen = 0;;) {
            pthread_mutex_lock(&t.mutex_);
            while (!t.awake_.load(std::memory_order_relaxed) && !t.stopping_) pthread_cond_wait(&t.woken_, &t.mutex_);
            bool stopping = t.stopping_;
            pthread_mutex_unlock(&t.mutex_);
            if (stopping) return nullptr;
            for (int spins = 0; t.awake_.load(std::memory_order_relaxed);) {
                uint32_t round = static_cast<uint32_t>(t.left_.load(std::memory_order_acquire) >> 32);
                if (round == seen) {
                    pause(spins++);
                    continue;
                }
                seen = round;
                spins = 0;
                t.work(round, worker->number);
            }
        }
    }

    pthread_t workers_[MAX_THREADS];
    Worker of_worker_[MAX_THREADS];
    int num_workers_ = 0;
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t woken_ = PTHREAD_COND_INITIALIZER;
    bool stopping_ = false;
    std::atomic<bool> awake_{false};
    uint32_t round_ = 0;  // of the thread that shares
    std::atomic<Job> job_{nullptr};
    std::atomic<void *> context_{nullptr};
    std::atomic<int> num_done_{0};
    std::atomic<uint64_t> left_{0};  // round (32 bits), first item that is left, and the one after the last
};

}  // namespace ran6g
