package files

import "sync"

const (
	// smallWriters is how many small files are written at once.
	smallWriters = 4
	// jobsTogether is how many jobs are handed over at once. Waking a goroutine
	// for each costs as much as the job.
	jobsTogether = 8
)

// jobQueue runs jobs in smallWriters goroutines and keeps the first error. The goroutines
// start with the first flush, and end in wait.
type jobQueue struct {
	// Owned by the caller of add, flush and wait.
	batch []func() error
	jobs  chan []func() error // no capacity, as jobs hold directories open; flush sends, wait closes

	running sync.WaitGroup
	mu      sync.Mutex
	err     error // guarded by mu
}

// add adds a job, which runs some time after the next flush.
func (q *jobQueue) add(job func() error) {
	if q.batch = append(q.batch, job); len(q.batch) == jobsTogether {
		q.flush()
	}
}

// flush hands over the jobs that were added. It waits for a free goroutine.
func (q *jobQueue) flush() {
	if len(q.batch) == 0 {
		return
	}
	if q.jobs == nil {
		jobs := make(chan []func() error)
		q.jobs = jobs
		for range smallWriters {
			q.running.Go(func() { q.loop(jobs) })
		}
	}
	q.jobs <- q.batch
	q.batch = nil
}

func (q *jobQueue) loop(jobs <-chan []func() error) {
	for batch := range jobs {
		for _, job := range batch {
			if err := job(); err != nil {
				q.mu.Lock()
				if q.err == nil {
					q.err = err
				}
				q.mu.Unlock()
			}
		}
	}
}

// failed returns the first error of the jobs that have run.
func (q *jobQueue) failed() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// wait runs all jobs, waits for them, and returns the first error.
func (q *jobQueue) wait() error {
	q.flush()
	if q.jobs != nil {
		close(q.jobs)
		q.jobs = nil
		q.running.Wait()
	}
	return q.failed()
}
