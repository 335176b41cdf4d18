# Builds libran6g_receiver, its harness and the example from what is in this folder, with a C and a C++17 compiler.
#   make            library for this machine, harness and example
#   make check      runs both on the test vectors
#   make latency    P50, P99 and P99.9 of a slot over 10,000 slots
CXX ?= g++
CC ?= gcc
# For any x86-64 with AVX2 instead: make ARCH=-march=x86-64-v3
ARCH ?= -march=native
FLAGS := -O3 $(ARCH) -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti -fno-math-errno -fno-trapping-math -ffp-contract=fast
# 512-bit vectors where the compiler knows the flag
FLAGS += $(shell $(CXX) -mprefer-vector-width=512 -x c++ -fsyntax-only /dev/null 2>/dev/null && echo -mprefer-vector-width=512)
OBJECTS := $(patsubst source/%.cpp,build/%.o,$(wildcard source/*.cpp))
LIBRARY := libran6g_receiver.so

all: $(LIBRARY) harness gnb_example

build/%.o: source/%.cpp $(wildcard source/*.h)
	@mkdir -p build
	$(CXX) -std=c++17 $(FLAGS) -c $< -o $@

$(LIBRARY): $(OBJECTS)
	$(CXX) -shared $(FLAGS) $(OBJECTS) -static-libstdc++ -static-libgcc -lpthread -o $@

harness: harness.c $(LIBRARY)
	$(CC) -std=c11 -O2 -Wall -Wextra -I source harness.c -o $@ -L . -l:$(LIBRARY) -Wl,-rpath,'$$ORIGIN' -lm

gnb_example: gnb_example.cpp $(LIBRARY)
	$(CXX) -std=c++17 -O2 -Wall -Wextra -I source gnb_example.cpp -o $@ -L . -l:$(LIBRARY) -Wl,-rpath,'$$ORIGIN'

check: all
	./harness model.bin vectors 100
	./gnb_example model.bin vectors

latency: all
	./harness model.bin vectors 10000

clean:
	rm -rf build harness gnb_example

.PHONY: all check latency clean
