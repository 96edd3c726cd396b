package org.example.classifier

import android.content.Context

/** The exported file; `check_assets.py` compares these names and numbers with what is in the assets. */
const val MODEL_ASSET = "model.tflite"

/** One label a line, the same as inside the file. */
const val LABELS_ASSET = "labels.txt"

/** Pictures are decoded to at least so many pixels a side; the input of the file must not be larger. */
const val DECODED_SIDE = 512

/** The labels that the file knows, in the order of its scores. */
fun labels(context: Context): List<String> =
    context.assets.open(LABELS_ASSET).bufferedReader().use { it.readLines() }
