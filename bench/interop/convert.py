"""llama.cpp's convert_hf_to_gguf.py, told how the words of `stories` are split: as GPT-2's.

The converter knows a tokenizer by a hash of the ids of one text, and refuses a vocabulary that it has never seen.
Usage: python convert.py path/to/convert_hf_to_gguf.py MODEL_FOLDER --outtype f32 --outfile FILE
"""

import runpy
import sys
from pathlib import Path

script = Path(sys.argv[1]).resolve()
sys.path.insert(0, str(script.parent))
from conversion.base import TextModel  # noqa: E402

TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
sys.argv = sys.argv[1:]
runpy.run_path(str(script), run_name="__main__")
