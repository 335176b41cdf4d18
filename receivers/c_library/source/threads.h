// Threads that share the blocks of a slot. They sleep between slots, are woken when one begins, and wait awake for its
// blocks, so that waking takes no time of the slot.
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
        slot_++;
        pthread_cond_broadcast(&woken_);
        pthread_mutex_unlock(&mutex_);
    }

    // After `wake`: runs job(context, item, thread) for all items, and returns when all are done.
    void share(Job job, void *context, int num_items) {
        if (!num_workers_) {
            for (int i = 0; i < num_items; i++) job(context, i, 0);
            return;
        }
        job_ = job;
        context_ = context;
        num_items_ = num_items;
        next_.store(0, std::memory_order_relaxed);
        finished_.store(0, std::memory_order_relaxed);
        ready_.store(slot_, std::memory_order_release);
        work(0);
        for (int spins = 0; finished_.load(std::memory_order_acquire) != num_workers_; spins++) pause(spins);
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

    void work(int thread) {
        for (int i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < num_items_;) job_(context_, i, thread);
    }

    static void *run(void *argument) {
        auto *worker = static_cast<Worker *>(argument);
        Threads &t = *worker->threads;
        for (uint64_t seen = 0;;) {
            pthread_mutex_lock(&t.mutex_);
            while (t.slot_ == seen && !t.stopping_) pthread_cond_wait(&t.woken_, &t.mutex_);
            bool stopping = t.stopping_;
            seen = t.slot_;
            pthread_mutex_unlock(&t.mutex_);
            if (stopping) return nullptr;
            for (int spins = 0; t.ready_.load(std::memory_order_acquire) != seen; spins++) pause(spins);
            t.work(worker->number);
            t.finished_.fetch_add(1, std::memory_order_release);
        }
    }

    pthread_t workers_[MAX_THREADS];
    Worker of_worker_[MAX_THREADS];
    int num_workers_ = 0;
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t woken_ = PTHREAD_COND_INITIALIZER;
    bool stopping_ = false;
    uint64_t slot_ = 0;
    Job job_ = nullptr;
    void *context_ = nullptr;
    int num_items_ = 0;
    std::atomic<uint64_t> ready_{0};
    std::atomic<int> next_{0}, finished_{0};
};

}  // namespace ran6g
