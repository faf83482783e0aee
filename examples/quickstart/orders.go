package main

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// order is what a client sends and gets.
type order struct {
	ID       int      `json:"id"`
	Item     string   `json:"item"`
	Qty      int      `json:"qty"`
	Card     card     `json:"card"`
	Customer customer `json:"customer"`
}

type card struct {
	Number string `json:"number"`
	Holder string `json:"holder"`
}

type customer struct {
	Email string `json:"email"`
}

// orders is an API that knows nothing of guards, and gives away every field it
// has.
type orders struct {
	mu      sync.Mutex
	all     []order
	changed chan struct{} // closed when an order comes in
}

func newOrders() *orders { return &orders{changed: make(chan struct{})} }

func (o *orders) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", o.create)
	mux.HandleFunc("GET /orders", o.list)
	mux.HandleFunc("GET /orders/{id}", o.read)
	mux.HandleFunc("GET /events", o.events)
	mux.HandleFunc("GET /export.csv", o.export)
	return mux
}

// snapshot returns the orders so far, and a channel that closes at the next.
func (o *orders) snapshot() ([]order, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clip(o.all), o.changed
}

func (o *orders) create(w http.ResponseWriter, r *http.Request) {
	var in order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in); err != nil {
		http.Error(w, "an order is a JSON object", http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	in.ID = len(o.all) + 1
	o.all = append(o.all, in)
	close(o.changed)
	o.changed = make(chan struct{})
	o.mu.Unlock()
	answer(w, http.StatusCreated, in)
}

func (o *orders) read(w http.ResponseWriter, r *http.Request) {
	all, _ := o.snapshot()
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > len(all) {
		http.Error(w, "no such order", http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, all[id-1])
}

// list answers in CSV when asked to. The author has forgotten that such an
// answer is not masked; the guard has not.
func (o *orders) list(w http.ResponseWriter, r *http.Request) {
	all, _ := o.snapshot()
	if r.URL.Query().Get("format") == "csv" {
		writeCSV(w, all, func(o order) []string { return []string{strconv.Itoa(o.ID), o.Item, o.Card.Number} })
		return
	}
	answer(w, http.StatusOK, all)
}

// events sends each order as it comes in, those so far first.
func (o *orders) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	sent := 0
	for {
		all, changed := o.snapshot()
		for ; sent < len(all); sent++ {
			data, err := json.Marshal(all[sent])
			if err != nil {
				return
			}
			if _, err := w.Write([]byte("event: order\ndata: " + string(data) + "\n\n")); err != nil {
				return
			}
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func (o *orders) export(w http.ResponseWriter, _ *http.Request) {
	all, _ := o.snapshot()
	writeCSV(w, all, func(o order) []string { return []string{strconv.Itoa(o.ID), o.Item, strconv.Itoa(o.Qty)} })
}

func writeCSV(w http.ResponseWriter, all []order, row func(order) []string) {
	w.Header().Set("Content-Type", "text/csv")
	out := csv.NewWriter(w)
	for _, o := range all {
		_ = out.Write(row(o)) // Flush tells
	}
	out.Flush()
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return // the client is gone, or a guard has refused
	}
}
